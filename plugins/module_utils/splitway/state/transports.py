# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `transports`: WebSockets that carry WireGuard and proxies, their near ends and their far ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ports import PortRange

WIREGUARD, SOCKS5, HTTP = "wireguard", "socks5", "http"
"""What a forward is for."""

TRANSPORT_USER = "splitway-transport"
"""As whom the programs run."""


@dataclass(frozen=True)
class Forwarding:
    """A port on this host's loopback; what comes in there comes out at a target of the server's host."""

    kind: str  # wireguard | socks5 | http
    protocol: str  # udp | tcp
    port: PortRange
    target: str  # "address:port", as the server's host sees it


@dataclass(frozen=True)
class TransportClient:
    """The near end of an upstream's WebSocket."""

    upstream: str
    interface: str  # the upstream's tunnel
    program: str  # wstunnel | websocat
    servers: tuple[str, ...]  # URLs ("wss://host:port"): the first, and backups
    path: str = field(repr=False)  # below which the server answers: a secret
    forwardings: tuple[Forwarding, ...]
    verify: bool = True  # the server's certificate
    ca: str = ""  # a file of certificates on this host; "": the system's
    server_name: str = ""  # that the certificate is for; "": the URL's host
    certificate: str = ""  # of our own, for the server: a file on this host
    key: str = ""
    minimum_idle: int = 5  # connections that are kept ready
    ping: int = 30  # seconds between two pings
    server: int = 0  # the one in use: the agent's to choose (transports.py)


@dataclass(frozen=True)
class TransportTarget:
    """What a server lets its clients reach."""

    protocol: str  # udp | tcp
    address: str  # "address:port" as this host sees it


@dataclass(frozen=True)
class TransportServer:
    """The far end of WebSockets: an exit's, or the gateway's for its own clients."""

    name: str
    program: str  # wstunnel | websocat
    listen: tuple[str, ...]  # addresses
    port: PortRange
    path: str = field(repr=False)
    certificate: str  # a file on this host, as are the next two
    key: str
    targets: tuple[TransportTarget, ...]
    client_ca: str = ""  # clients must have a certificate of it; "": they need none


@dataclass(frozen=True)
class Program:
    """A program that came to this host by our role, or was there."""

    name: str  # wstunnel | websocat
    path: str


@dataclass(frozen=True)
class Transports:
    """All WebSockets of a host."""

    clients: tuple[TransportClient, ...] = ()
    servers: tuple[TransportServer, ...] = ()
    programs: tuple[Program, ...] = ()
