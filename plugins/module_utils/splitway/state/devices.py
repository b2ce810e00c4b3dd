# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections `upstreams` and `server`: WireGuard interfaces and their peers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from .ports import PortRange


@dataclass(frozen=True)
class PreviousKey:
    """The key that a peer had before, and may still come with: a peer of WireGuard's of its own until then."""

    public_key: str
    until: int  # seconds since the epoch
    preshared_key: Optional[str] = field(default=None, repr=False)


@dataclass(frozen=True)
class Peer:
    """One WireGuard peer of a device."""

    name: str
    public_key: Optional[str]  # None: derived from the key that the host makes for this peer
    allowed_ips: tuple[str, ...]
    preshared_key: Optional[str] = field(default=None, repr=False)
    endpoint: Optional[str] = None  # "host:port" or "[v6]:port"
    persistent_keepalive: int = 0  # seconds, 0 = off
    expires: Optional[int] = None  # seconds since the epoch, from which on it is none; None: never
    previous: Optional[PreviousKey] = None


@dataclass(frozen=True)
class Device:
    """One WireGuard interface: the server's ``wg0`` or an upstream's ``wg-up-N``."""

    name: str  # the word of the topology: the upstream's name, or "server"
    interface: str
    private_key: Optional[str] = field(repr=False)  # None: made on the host once and kept there
    addresses: tuple[str, ...]  # with prefix length
    peers: tuple[Peer, ...]
    listen_port: Optional[int] = None
    mtu: Optional[int] = None
    mark: Optional[int] = None  # of its own encrypted packets; None: whatever it has
    mtu_from_path: bool = False  # an upstream's: what the agent finds comes before `mtu`
    transport: str = "udp"  # udp | websocket | auto: UDP, unless the agent chose the WebSocket
    websocket: Optional[PortRange] = None  # the port on the loopback that leads to its exit
    adopted: bool = False  # somebody else makes it, with its keys and peers: nothing of it is ours to change
