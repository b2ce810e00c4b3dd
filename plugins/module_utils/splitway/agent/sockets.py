# SPDX-License-Identifier: GPL-3.0-or-later
"""What Linux's sockets can do and Python has no names for."""

from __future__ import annotations

import ctypes
import socket
import struct

BUFFER_FORCE = 33  # asm-generic/socket.h: SO_RCVBUFFORCE
_ATTACH_FILTER = 26  # asm-generic/socket.h: SO_ATTACH_FILTER
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1  # linux/socket.h; linux/netlink.h: NETLINK_ADD_MEMBERSHIP
_INSTRUCTION = 8  # bytes of a struct sock_filter


def attach(channel: socket.socket, program: bytes) -> None:
    """Have the kernel run a filter (classic BPF) over what comes; the socket gets what it lets pass. Raises OSError."""
    buffer = ctypes.create_string_buffer(program)
    where = struct.pack("HL", len(program) // _INSTRUCTION, ctypes.addressof(buffer))
    channel.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, where)


def join(channel: socket.socket, group: int) -> None:
    """Have a netlink socket hear what the kernel tells a group. Raises OSError."""
    channel.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
