# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `proxies`: SOCKS5 and HTTP proxies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from .ports import PortRange

PROXY_USERS = "splitway-proxy-"
"""What the names of the system's users begin with that proxies run as."""


PROXY_ACCOUNT = "A proxy of splitway"
"""How such a user is described."""


@dataclass(frozen=True)
class ProxyUser:
    """Somebody who may use a proxy."""

    name: str
    hash: str = field(repr=False)  # of the password, as crypt(3) writes it


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
    far: Optional[PortRange] = None  # of loopback, from which a WebSocket leads to the HTTP proxy of an exit
    inner: Optional[PortRange] = None  # of loopback, where its own SOCKS5 reaches its HTTP
    public_only: bool = False  # an exit's: it leads to the Internet, not into the networks around its host
    at_boot: bool = False  # started by systemd: an exit has no agent


@dataclass(frozen=True)
class Proxies:
    """All proxies of a host."""

    proxies: tuple[Proxy, ...] = ()
    resolvers: tuple[str, ...] = ()  # whom they ask for names: our dnsmasq's addresses
    accounts: tuple[str, ...] = ()  # the users that proxies run as, in whichever mode
    log: bool = False  # whether it is kept who asks for what
    modes: tuple[str, ...] = ("combined",)  # the operator's, then those that the agent may fall back to
