# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMP echo of both families, as raw sockets send and hear it (RFC 792, RFC 4443)."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple, Optional

PROTOCOLS = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}

_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_UNREACHABLE = {socket.AF_INET: 3, socket.AF_INET6: 1}
_PAYLOAD = b"splitway: is it up?"
_SOL_RAW, _ICMP_FILTER, _ICMPV6_FILTER = 255, 1, 1  # linux/icmp.h, linux/icmpv6.h: the types that are not heard
_HEADER = struct.Struct(">BBHHH")  # type, code, checksum, identifier, sequence number
_IPV6_HEADER = 40


class Identity(NamedTuple):
    """What tells one request from all others: 32 random bits, which an error quotes as well."""

    identifier: int
    sequence: int


class Heard(NamedTuple):
    """What came back for a request."""

    identity: Identity
    refused: bool  # somebody on the way says that the target cannot be reached


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


def request(family: int, identity: Identity) -> bytes:
    """Return an echo request. The kernel itself makes the checksum of IPv6's."""
    kind = _REQUEST[socket.AddressFamily(family)]
    if family == socket.AF_INET6:
        return _HEADER.pack(kind, 0, 0, *identity) + _PAYLOAD
    return _HEADER.pack(kind, 0, _checksum(_HEADER.pack(kind, 0, 0, *identity) + _PAYLOAD), *identity) + _PAYLOAD


def parse(family: int, packet: bytes) -> Optional[Heard]:
    """Return what a packet of a raw socket says of a request, None when it is about something else."""
    family = socket.AddressFamily(family)
    message = packet[_header_length(packet) :] if family == socket.AF_INET else packet
    if len(message) < _HEADER.size:
        return None
    kind, _, _, identifier, sequence = _HEADER.unpack_from(message)
    if kind == _REPLY[family]:
        return Heard(Identity(identifier, sequence), refused=False) if message[_HEADER.size :] == _PAYLOAD else None
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
