# SPDX-License-Identifier: GPL-3.0-or-later
"""What one client's bundle is made of: plain data, everything chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from ..client_files import ClientFile
from ..relay.command import Command

LOCAL_PORT = 51821
"""Where a client's own relay takes WireGuard's packets: not the 51820 that a WireGuard of its own may have."""

CA, CERTIFICATE, KEY = "gateway-ca.crt", "client.crt", "client.key"
"""Files beside the page: ours, and two that whoever gives out certificates adds."""


@dataclass(frozen=True)
class Relay:
    """How the client's tunnel reaches the gateway where UDP does not."""

    command: Command  # listens on 127.0.0.1:LOCAL_PORT
    address: str  # the gateway's own, to which the command connects
    version: str = ""  # of the program, in words for people
    checksum: str = ""  # SHA-256 of its release for Linux on amd64; "": not known
    ca: str = ""  # who signed the gateway's certificate, as PEM; "": somebody whom systems know
    certificate: bool = False  # whether the gateway asks clients for certificates of their own


@dataclass(frozen=True)
class Proxy:
    """A proxy that this client may use."""

    kind: str  # SOCKS5 | HTTP
    address: str  # "host:port" or "[v6]:port"
    asks: bool = False  # for a user and a password
    user: Optional[str] = None  # None: not known
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
