# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMP echo of both families, as raw sockets send and hear it (RFC 792, RFC 4443)."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Callable, NamedTuple, Optional

# By family as a plain number: enumerations cost a microsecond at each look-up.
PROTOCOLS: dict[int, int] = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}

_REQUEST: dict[int, int] = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY: dict[int, int] = {socket.AF_INET: 0, socket.AF_INET6: 129}
_UNREACHABLE: dict[int, int] = {socket.AF_INET: 3, socket.AF_INET6: 1}
_PAYLOAD = b"splitway: is it up?"
_SOL_RAW, _ICMP_FILTER, _ICMPV6_FILTER = 255, 1, 1  # linux/icmp.h, linux/icmpv6.h: the types that are not heard
_HEADER = struct.Struct(">BBHHH")  # type, code, checksum, identifier, sequence number
_IPV6_HEADER = 40
_IP_HEADERS: dict[int, int] = {socket.AF_INET: 20, socket.AF_INET6: _IPV6_HEADER}
_identity = struct.Struct("=HH").unpack


class Identity(NamedTuple):
    """What tells one request from all others: 32 random bits, which an error quotes as well."""

    identifier: int
    sequence: int


class Heard(NamedTuple):
    """What came back for a request."""

    identity: Identity
    refused: bool  # somebody on the way says that the target cannot be reached


Hear = Callable[[Heard, str], None]
"""Is told what came back, and from which address."""


class Echoes:
    """The raw sockets of one interface, one a family, and its requests that may be answered yet.

    They are kept from round to round: to make, bind and close one costs more than a request (100 µs, measured).
    """

    def __init__(self, interface: str) -> None:
        self._interface = interface.encode()
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[int, socket.socket] = {}  # by family

    hear: Optional[Hear] = None

    def send(self, address: str, size: int = 0) -> Identity:
        """Send a request; return what its answer will have. Raises OSError: no interface, no route.

        `size`: bytes of the IP packet, when it is to be larger than need be.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        identity = Identity(*_identity(os.urandom(4)))
        packet = request(family, identity, size - _IP_HEADERS[family] - _HEADER.size)
        if family in self._sockets:
            try:
                self._sockets[family].sendto(packet, (address, 0))
            except OSError:  # an interface that was made anew is another one to a socket
                self._forget(family)
            else:
                return identity
        self._socket(family).sendto(packet, (address, 0))
        return identity

    def _socket(self, family: int) -> socket.socket:
        connection = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, PROTOCOLS[family])
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface)
            restrict(connection)
        except OSError:
            connection.close()
            raise
        self._loop.add_reader(connection.fileno(), self._read, connection, family)
        self._sockets[family] = connection
        return connection

    def _read(self, connection: socket.socket, family: int) -> None:
        try:
            packet, origin = connection.recvfrom(2048)
        except OSError:
            return  # the interface went; there will be no answer
        heard = parse(family, packet)
        if heard is not None and self.hear is not None:
            self.hear(heard, origin[0])

    def _forget(self, family: int) -> None:
        connection = self._sockets.pop(family)
        self._loop.remove_reader(connection.fileno())
        connection.close()

    def close(self) -> None:
        """Give the sockets back."""
        for family in list(self._sockets):
            self._forget(family)


def restrict(connection: socket.socket) -> None:
    """Have the kernel give a raw socket echo replies and refusals only."""
    family = connection.family
    if family == socket.AF_INET:
        heard = 1 << _REPLY[family] | 1 << _UNREACHABLE[family]
        connection.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~heard & 0xFFFFFFFF))
    else:
        words = [0xFFFFFFFF] * 8
        for kind in (_REPLY[family], _UNREACHABLE[family]):
            words[kind >> 5] &= ~(1 << (kind & 31)) & 0xFFFFFFFF
        connection.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *words))


def request(family: int, identity: Identity, length: int = 0) -> bytes:
    """Return an echo request with `length` bytes of payload at least. The kernel makes the checksum of IPv6's."""
    kind, payload = _REQUEST[family], _PAYLOAD.ljust(length, b"\0")
    if family == socket.AF_INET6:
        return _HEADER.pack(kind, 0, 0, *identity) + payload
    return _HEADER.pack(kind, 0, _checksum(_HEADER.pack(kind, 0, 0, *identity) + payload), *identity) + payload


def parse(family: int, packet: bytes) -> Optional[Heard]:
    """Return what a packet of a raw socket says of a request, None when it is about something else."""
    message = packet[_header_length(packet) :] if family == socket.AF_INET else packet
    if len(message) < _HEADER.size:
        return None
    kind, _, _, identifier, sequence = _HEADER.unpack_from(message)
    if kind == _REPLY[family]:
        # Some answer large requests with what they began with.
        ours = message.startswith(_PAYLOAD, _HEADER.size)
        return Heard(Identity(identifier, sequence), refused=False) if ours else None
    quoted = message[_HEADER.size :]
    start = _IPV6_HEADER if family == socket.AF_INET6 else _header_length(quoted)
    if kind != _UNREACHABLE[family] or len(quoted) < start + _HEADER.size:
        return None
    kind, _, _, identifier, sequence = _HEADER.unpack_from(quoted, start)
    return Heard(Identity(identifier, sequence), refused=True) if kind == _REQUEST[family] else None


def _header_length(packet: bytes) -> int:
    """Return the length of an IPv4 header, options included."""
    return (packet[0] & 15) * 4 if packet else 0


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
