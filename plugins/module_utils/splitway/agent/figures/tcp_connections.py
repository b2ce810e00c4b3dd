# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel knows of TCP connections of this host, by its own diagnosis of sockets: one question a port."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from ...reconcile.netlink import DONE, DUMP, ERROR, REQUEST, attributes, messages
from ...system import System, SystemFailure

# linux/sock_diag.h, linux/inet_diag.h, linux/tcp.h (struct tcp_info)
_BY_FAMILY = 20
_INFO = 2  # an attribute; its bit asks for it
_ESTABLISHED = 1 << 1
_LOCAL_PORT, _DESTINATION, _INODE, _ATTRIBUTES = 4, 24, 68, 72  # where they are in an answer
_RTT, _RETRANSMITTED, _ACKNOWLEDGED, _RECEIVED, _SEGMENTS = 68, 100, 120, 128, 136  # where they are in tcp_info
_ANSWER = 1 << 16  # bytes; the kernel fills up to 32 KiB


class Connection(NamedTuple):
    """One connection that is established."""

    inode: int  # of its socket; with the port it names the connection
    port: int  # of ours
    address: str  # of the other end
    rtt: float  # seconds, smoothed
    segments: int  # sent
    retransmitted: int  # of these
    sent: int  # bytes that the other end has acknowledged
    received: int  # bytes


def to_port(system: System, port: int) -> Iterator[Connection]:
    """Yield the connections whose other end has this port. Raises OSError, SystemFailure."""
    for family in (socket.AF_INET, socket.AF_INET6):
        body = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), _ESTABLISHED)
        body += struct.pack("!HH", 0, port) + bytes(44)
        with system.asking_sockets() as channel:
            channel.send(struct.pack("=IHHII", 16 + len(body), _BY_FAMILY, REQUEST | DUMP, 0, 0) + body)
            yield from _answers(channel, family)


def _answers(channel: socket.socket, family: int) -> Iterator[Connection]:
    while True:
        for kind, _flags, answer in messages(channel.recv(_ANSWER)):
            if kind == DONE:
                return
            if kind == ERROR:
                raise SystemFailure("the kernel does not tell of its sockets")
            info = dict(attributes(answer[_ATTRIBUTES:])).get(_INFO, b"")
            if len(info) < _SEGMENTS + 4:
                continue  # it has gone meanwhile, or the kernel is older than 4.2
            end = answer[_DESTINATION : _DESTINATION + (4 if family == socket.AF_INET else 16)]
            address = ip_address(end)
            mapped = getattr(address, "ipv4_mapped", None)
            yield Connection(
                inode=struct.unpack_from("=I", answer, _INODE)[0],
                port=struct.unpack_from("!H", answer, _LOCAL_PORT)[0],
                address=str(mapped or address),
                rtt=struct.unpack_from("=I", info, _RTT)[0] / 1e6,
                segments=struct.unpack_from("=I", info, _SEGMENTS)[0],
                retransmitted=struct.unpack_from("=I", info, _RETRANSMITTED)[0],
                sent=struct.unpack_from("=Q", info, _ACKNOWLEDGED)[0],
                received=struct.unpack_from("=Q", info, _RECEIVED)[0],
            )
