# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own diagnosis of sockets: all of a kind that are in some state, one message each."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..system import System, SystemFailure
from .netlink import DONE, DUMP, ERROR, REQUEST, attributes, messages

# linux/sock_diag.h, linux/inet_diag.h
_BY_FAMILY = 20
LOCAL_PORT, DESTINATION, INODE, _ATTRIBUTES = 4, 24, 68, 72  # where they are in an answer
_ANSWER = 1 << 16  # bytes; the kernel fills up to 32 KiB


def sockets(
    system: System, family: int, protocol: int, states: int, extensions: int = 0, far_port: int = 0
) -> Iterator[tuple[bytes, dict[int, bytes]]]:
    """Yield the answer for each socket, and its attributes; `states`, `extensions`: bits; `far_port` 0: any.

    Raises OSError, SystemFailure.
    """
    body = struct.pack("=BBBxI", family, protocol, extensions, states) + struct.pack("!HH", 0, far_port) + bytes(44)
    with system.asking_sockets() as channel:
        channel.send(struct.pack("=IHHII", 16 + len(body), _BY_FAMILY, REQUEST | DUMP, 0, 0) + body)
        while True:
            for kind, _flags, answer in messages(channel.recv(_ANSWER)):
                if kind == DONE:
                    return
                if kind == ERROR:
                    raise SystemFailure("the kernel does not tell of its sockets")
                yield answer, dict(attributes(answer[_ATTRIBUTES:]))
