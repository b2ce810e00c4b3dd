# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's WireGuard configuration file, from the topology. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from ..topology.model import Topology

EVERYTHING = ("0.0.0.0/0", "::/0")
"""Both families, whatever the client's own are: IPv6 that is not routed into the tunnel goes around it."""

_NAME = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9_=+.@-]*")


class ClientFileError(Exception):
    """A client's file cannot be written; the message names the client and what to do."""


@dataclass(frozen=True)
class ClientFile:
    """What one client's configuration says."""

    name: str
    addresses: tuple[str, ...]  # of the client, with prefix length
    endpoint: str  # of the gateway, "host:port" or "[v6]:port"
    private_key: Optional[str] = None  # None: made on the gateway and kept there
    preshared_key: Optional[str] = None
    dns: tuple[str, ...] = ()
    mtu: Optional[int] = None
    allowed_ips: tuple[str, ...] = EVERYTHING
    persistent_keepalive: int = 0  # seconds, 0 = off
    priority: int = 1  # of this gateway among those of the client

    @property
    def stem(self) -> str:
        """Return the name of the client's files without their endings."""
        return f"{self.name}{suffix(self.priority)}"


def suffix(priority: int) -> str:
    """Return what tells a client's file of a standby gateway from that of its first; no client's name has a "+"."""
    return f"+{priority}" if priority > 1 else ""


def client_files(topology: Topology) -> tuple[ClientFile, ...]:
    """Return the files that can be written: of clients whose private key is given or made on the gateway.

    Without splitway_server.endpoint there are none: no client would know where to connect to. Clients of an adopted
    interface have their files from whoever manages it.
    """
    server = topology.server
    if server.endpoint is None or server.adopt:
        return ()
    files = []
    for client in topology.clients:
        if client.private_key is None and client.public_key is not None:
            continue  # only the client knows its private key
        versions = {address.version for address in client.addresses}
        files.append(
            ClientFile(
                name=client.name,
                addresses=tuple(f"{address}/{address.max_prefixlen}" for address in client.addresses),
                endpoint=str(server.endpoint),
                private_key=client.private_key,
                preshared_key=client.preshared_key,
                dns=tuple(str(own.ip) for own in server.addresses if own.version in versions),
                mtu=server.mtu,
                persistent_keepalive=client.persistent_keepalive,
                priority=client.priority,
            )
        )
    return tuple(files)


def check_names(names: Iterable[str]) -> None:
    """Raise ClientFileError for a name that is no file name, or is there twice."""
    seen: set[str] = set()
    for name in names:
        # Two names that differ in case only are one file on a controller's macOS.
        if not _NAME.fullmatch(name):
            raise ClientFileError(f'client "{name}": a file cannot have this name')
        if name.lower() in seen:
            raise ClientFileError(f'client "{name}" is listed twice')
        seen.add(name.lower())


def check(clients: tuple[ClientFile, ...]) -> None:
    """Raise ClientFileError for a name that is no file name, a name that is there twice, or a value of two lines."""
    check_names(client.name for client in clients)
    for client in clients:
        values = (*client.addresses, *client.dns, *client.allowed_ips, client.endpoint)
        keys = (client.private_key or "", client.preshared_key or "")
        if any(not value.isprintable() for value in (*values, *keys)):
            raise ClientFileError(f'client "{client.name}": a value has a line break or a control character')
        if not client.addresses:
            raise ClientFileError(f'client "{client.name}" has no addresses')


def text(client: ClientFile, private_key: str, server_public_key: str) -> str:
    """Return the configuration in wg-quick's format."""
    lines = ["[Interface]", f"PrivateKey = {private_key}", f"Address = {', '.join(client.addresses)}"]
    if client.dns:
        lines.append(f"DNS = {', '.join(client.dns)}")
    if client.mtu is not None:
        lines.append(f"MTU = {client.mtu}")
    lines += ["", "[Peer]", f"PublicKey = {server_public_key}"]
    if client.preshared_key is not None:
        lines.append(f"PresharedKey = {client.preshared_key}")
    lines += [f"Endpoint = {client.endpoint}", f"AllowedIPs = {', '.join(client.allowed_ips)}"]
    if client.persistent_keepalive:
        lines.append(f"PersistentKeepalive = {client.persistent_keepalive}")
    return "".join(f"{line}\n" for line in lines)
