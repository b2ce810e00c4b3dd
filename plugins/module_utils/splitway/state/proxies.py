# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `proxies`: SOCKS5 and HTTP proxies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from .ports import PortRange


@dataclass(frozen=True)
class ProxyUser:
    """Somebody who may use a proxy."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Listener:
    """Where a proxy is spoken to."""

    protocol: str  # socks5 | http
    addresses: tuple[str, ...]
    port: PortRange


@dataclass(frozen=True)
class Proxy:
    """One proxy: its connections take the ways of a policy, or come out at the far end of an upstream's WebSocket."""

    name: str
    number: int  # stable on this host: its user is splitway-proxy-N
    listeners: tuple[Listener, ...]
    users: tuple[ProxyUser, ...] = ()  # none: no credentials are asked for
    sources: tuple[str, ...] = ()  # networks that may use it; none: any
    policy: Optional[int] = None  # the number of the policy of its own connections
    far: tuple[tuple[str, PortRange], ...] = ()  # socks5 | http → the loopback port of an upstream's far-end proxy


@dataclass(frozen=True)
class Proxies:
    """All proxies of a host."""

    proxies: tuple[Proxy, ...] = ()
    resolvers: tuple[str, ...] = ()  # whom they ask for names: our dnsmasq's addresses
    modes: tuple[str, ...] = ("combined",)  # the operator's, then those that the agent may fall back to
