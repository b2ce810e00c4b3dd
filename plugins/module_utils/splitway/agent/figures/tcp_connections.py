# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel knows of TCP connections of this host, by its own diagnosis of sockets: one question a port."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from ...reconcile import diagnosis
from ...reconcile.diagnosis import DESTINATION, INODE, LOCAL_PORT
from ...system import System

# linux/inet_diag.h, linux/tcp.h (struct tcp_info)
_INFO = 2  # an attribute; its bit asks for it
_ESTABLISHED = 1 << 1
_RTT, _RETRANSMITTED, _ACKNOWLEDGED, _RECEIVED, _SEGMENTS = 68, 100, 120, 128, 136  # where they are in tcp_info


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
        found = diagnosis.sockets(system, family, socket.IPPROTO_TCP, _ESTABLISHED, 1 << (_INFO - 1), port)
        for answer, attributes in found:
            info = attributes.get(_INFO, b"")
            if len(info) < _SEGMENTS + 4:
                continue  # it has gone meanwhile, or the kernel is older than 4.2
            end = answer[DESTINATION : DESTINATION + (4 if family == socket.AF_INET else 16)]
            address = ip_address(end)
            mapped = getattr(address, "ipv4_mapped", None)
            yield Connection(
                inode=struct.unpack_from("=I", answer, INODE)[0],
                port=struct.unpack_from("!H", answer, LOCAL_PORT)[0],
                address=str(mapped or address),
                rtt=struct.unpack_from("=I", info, _RTT)[0] / 1e6,
                segments=struct.unpack_from("=I", info, _SEGMENTS)[0],
                retransmitted=struct.unpack_from("=I", info, _RETRANSMITTED)[0],
                sent=struct.unpack_from("=Q", info, _ACKNOWLEDGED)[0],
                received=struct.unpack_from("=Q", info, _RECEIVED)[0],
            )
