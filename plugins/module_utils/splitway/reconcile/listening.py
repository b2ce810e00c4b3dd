# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on this host: sockets that are bound to a port, and whether one of ours could be beside them."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from ..addresses import at_port
from ..system import System, SystemFailure
from . import diagnosis
from .diagnosis import INODE, LOCAL_PORT
from .sockets import Holder, holders_of

_STATES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}  # the kernel's: TCP that listens, UDP of any sender
_PROTOCOLS = {"tcp": (socket.IPPROTO_TCP, 10), "udp": (socket.IPPROTO_UDP, 7)}  # with the same states

_V6_ONLY = 11  # an attribute (linux/inet_diag.h)


@dataclass(frozen=True)
class Socket:
    """Where a program of ours is to listen."""

    protocol: str  # tcp | udp
    address: str
    port: int

    def __str__(self) -> str:
        return at_port(self.address, self.port)


@dataclass(frozen=True)
class Listener:
    """A socket that is bound to a port, and who holds it."""

    protocol: str  # tcp | udp
    address: str
    port: int
    inode: int = 0
    user: int = 0  # the number of the user who opened it
    v6_only: bool = False  # one at :: that leaves IPv4 to others
    holder: Optional[Holder] = None  # None: hidden from us

    def __str__(self) -> str:
        who = "another program"
        if self.holder is not None:
            who = f"{self.holder.program} (process {self.holder.process})"
        elif not self.inode:  # WireGuard's, for one
            who = "the kernel"
        return f"{who} listens on {Socket(self.protocol, self.address, self.port)} ({self.protocol})"


def conflicts(listener: Listener, wanted: Socket) -> bool:
    """Return whether a program cannot listen where it is to, at :: for IPv4 too, because of this listener."""
    if (listener.protocol, listener.port) != (wanted.protocol, wanted.port):
        return False
    theirs = _addresses(listener.address, v6_only=listener.v6_only)
    ours = _addresses(wanted.address, v6_only=False)
    return any(
        version in ours and (None in (address, ours[version]) or address == ours[version])
        for version, address in theirs.items()
    )


def _addresses(text: str, *, v6_only: bool) -> dict[int, object]:
    """Return IP version → the address that a socket takes there, None for all of them."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None:
        return {4: None if mapped.is_unspecified else mapped}
    if not address.is_unspecified:
        return {address.version: address}
    return {4: None, 6: None} if address.version == 6 and not v6_only else {address.version: None}


def bound(system: System, ports: Collection[int]) -> tuple[Listener, ...]:
    """Return the sockets of this network namespace that are bound to one of these ports, without their holders."""
    found = tuple(listener for listener in _listed(system) if listener.port in ports)
    wild = [listener for listener in found if listener.address == "::"]
    if not wild:
        return found
    alone = _alone(system, {listener.protocol for listener in wild})
    return tuple(
        replace(listener, v6_only=(listener.protocol, listener.port, listener.inode) in alone)
        if listener.address == "::"
        else listener
        for listener in found
    )


def read(system: System, ports: Collection[int]) -> tuple[Listener, ...]:
    """Return who listens on one of these ports."""
    found = bound(system, ports)
    holders = holders_of({listener.inode for listener in found if listener.inode})
    return tuple(replace(listener, holder=holders.get(listener.inode)) for listener in found)


def _listed(system: System) -> Iterator[Listener]:
    for table, state in _STATES.items():
        text = system.read_file(Path("/proc/thread-self/net") / table) or ""
        for line in text.splitlines()[1:]:
            columns = line.split()
            address, _, port = columns[1].partition(":")
            if columns[3] == state:
                yield Listener(table[:3], _address(address), int(port, 16), int(columns[9]), int(columns[7]))


def _address(digits: str) -> str:
    # The kernel prints each 32-bit word of the address as a number in the host's own byte order.
    words = (int(digits[start : start + 8], 16) for start in range(0, len(digits), 8))
    return str(ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words)))


def _alone(system: System, protocols: Iterable[str]) -> set[tuple[str, int, int]]:
    """Return protocol, port and inode of the sockets at :: that leave IPv4 to others.

    /proc does not tell. A kernel without socket diagnosis says nothing: then none does, and at worst we pass a port
    over that we could have had.
    """
    found = set()
    for protocol in protocols:
        try:
            found |= {(protocol, port, inode) for port, inode in _dump(system, *_PROTOCOLS[protocol])}
        except (OSError, SystemFailure):
            return set()
    return found


def _dump(system: System, protocol: int, state: int) -> Iterator[tuple[int, int]]:
    """Yield port and inode of the IPv6 sockets in a state that take no IPv4. Raises OSError, SystemFailure."""
    for answer, found in diagnosis.sockets(system, socket.AF_INET6, protocol, 1 << state):
        if found.get(_V6_ONLY) == b"\1":
            port, inode = struct.unpack_from("!H", answer, LOCAL_PORT)[0], struct.unpack_from("=I", answer, INODE)[0]
            yield port, inode
