# SPDX-License-Identifier: GPL-3.0-or-later
"""Port 53 as the host sees it: who listens there, and does ours answer."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from dataclasses import dataclass

from ...system import System
from .. import listening
from ..sockets import holder_of
from .text import OWN_ADDRESS, OWN_NAME

PORT = 53

_NO_ERROR = 0


@dataclass(frozen=True)
class Listener:
    """One socket that is bound to port 53."""

    protocol: str  # tcp | udp
    address: str
    inode: int

    def conflicts(self, addresses: tuple[str, ...]) -> bool:
        """Return whether nobody else can listen on one of these addresses while it is there."""
        return ipaddress.ip_address(self.address).is_unspecified or self.address in addresses


def listeners(system: System) -> tuple[Listener, ...]:
    """Return the sockets that are bound to port 53 in this network namespace."""
    return tuple(Listener(found.protocol, found.address, found.inode) for found in listening.bound(system, (PORT,)))


def describe(listener: Listener) -> str:
    """Return a listener in words: "unbound listens on 0.0.0.0 (tcp)"."""
    holder = holder_of(listener.inode)
    return f"{holder.program if holder else 'another program'} listens on {listener.address} ({listener.protocol})"


def answers(address: str, timeout: float = 1.0, port: int = PORT) -> bool:
    """Return whether a resolver of ours answers at an address of this host, by UDP and by TCP.

    It is asked for the one name that ours answer; the host's other resolvers do not.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return all(_asked(family, kind, (address, port), timeout) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))


def _asked(family: int, kind: int, where: tuple[str, int], timeout: float) -> bool:
    number = int.from_bytes(os.urandom(2), "big")
    name = b"".join(bytes([len(label)]) + label.encode() for label in OWN_NAME.split("."))
    question = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack(">HH", 1, 1)
    prefix = struct.pack(">H", len(question)) if kind == socket.SOCK_STREAM else b""
    try:
        with socket.socket(family, kind) as connection:
            connection.settimeout(timeout)
            connection.connect(where)
            connection.sendall(prefix + question)
            answer = connection.recv(1024)[len(prefix) :]
    except OSError:
        return False
    if len(answer) < 4:
        return False
    answered, flags = struct.unpack(">HH", answer[:4])
    ours = socket.inet_aton(OWN_ADDRESS)
    return bool(answered == number and flags & 0xF == _NO_ERROR and ours in answer)
