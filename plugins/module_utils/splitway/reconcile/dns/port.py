# SPDX-License-Identifier: GPL-3.0-or-later
"""Port 53 as the host sees it: who listens there, and does ours answer."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from ...system import System
from ..sockets import holder_of
from .text import OWN_ADDRESS, OWN_NAME

PORT = 53

_LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}  # the kernel's socket states
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
    found = []
    for table, state in _LISTENING.items():
        text = system.read_file(Path("/proc/net") / table) or ""
        for line in text.splitlines()[1:]:
            columns = line.split()
            address, _, port = columns[1].partition(":")
            if int(port, 16) == PORT and columns[3] == state:
                found.append(Listener(table[:3], _address(address), int(columns[9])))
    return tuple(found)


def _address(digits: str) -> str:
    # The kernel prints each 32-bit word of the address as a number in the host's own byte order.
    words = (int(digits[start : start + 8], 16) for start in range(0, len(digits), 8))
    return str(ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words)))


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
