# SPDX-License-Identifier: GPL-3.0-or-later
"""What one client's bundle is made of: plain data, everything chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from ..client_files import ClientFile
from .shells import Command

LOCAL_PORT = 51821
"""Where a client's own relay takes WireGuard's packets: not the 51820 that a WireGuard of its own may have."""

MTU = 1360
"""Bytes of a packet in a tunnel that travels in a WebSocket."""


@dataclass(frozen=True)
class Relay:
    """How the client's tunnel reaches the gateway where UDP does not."""

    command: Command  # listens on 127.0.0.1:LOCAL_PORT
    address: str  # the gateway's own, to which the command connects
    version: str = ""  # of the program; "": any
    checksum: str = ""  # SHA-256 of the program's archive for Linux on amd64; "": not known
    certificate: bool = False  # whether the gateway asks clients for certificates of their own


@dataclass(frozen=True)
class Proxy:
    """A proxy that this client may use."""

    kind: str  # SOCKS5 | HTTP
    address: str  # "host:port" or "[v6]:port"
    user: Optional[str] = None  # None: whoever comes from the right network
    password: Optional[str] = field(default=None, repr=False)  # None: not written down


@dataclass(frozen=True)
class Bundle:
    """What one client gets. Without WireGuard (`tunnel`: None) there is no relay either."""

    name: str
    gateway: str  # as the operator calls it
    tunnel: Optional[ClientFile] = None
    relay: Optional[Relay] = None
    proxies: tuple[Proxy, ...] = ()
    pacs: tuple[str, ...] = ()  # URLs, the best first
