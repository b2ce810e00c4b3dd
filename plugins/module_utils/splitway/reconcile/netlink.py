# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages to the kernel, for what its programs cannot do, or only in one process an object."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

# linux/netlink.h
REQUEST, ACK, DUMP, INTERRUPTED = 0x1, 0x4, 0x300, 0x10  # flags
ERROR, DONE = 2, 3  # kinds of messages
NESTED, NETWORK_ORDER = 0x8000, 0x4000  # bits of an attribute's kind


def message(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    """Return a message with the header of netfilter's subsystems."""
    return struct.pack("=IHHIIBBH", 20 + len(attributes), kind, flags, 0, 0, family, 0, 0) + attributes


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind (without its bits) and value of each attribute."""
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        yield kind & 0x3FFF, data[position + 4 : position + length]
        position += (length + 3) & ~3


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield kind, flags and body of each message of a datagram."""
    position = 0
    while position + 16 <= len(data):
        length, kind, flags = struct.unpack_from("=IHH", data, position)
        yield kind, flags, data[position + 16 : position + length]
        position += (length + 3) & ~3


def failure_of(body: bytes) -> OSError:
    """Return what a message of kind ERROR says; errno 0 is an acknowledgement."""
    number = -int(struct.unpack_from("=i", body)[0])
    return OSError(number, errno.errorcode.get(number, str(number)))
