# SPDX-License-Identifier: GPL-3.0-or-later
"""The path to an exit, as this host knows it: which addresses are its ends, and how large a packet may be on it.

Routers that have too narrow a link say so by ICMP, and the kernel remembers it for ten minutes. They do when a packet
may not be fragmented. The kernel's WireGuard lets routers fragment its own (IPv4), so one is sent that may not be; the
exit drops what is no message of WireGuard's without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import NamedTuple, Optional

from ...reconcile.wireguard.live import split_endpoint

ANSWER = 0.5  # seconds for a router on the way to object
_UDP_HEADERS = {socket.AF_INET: 28, socket.AF_INET6: 48}  # bytes

# linux/in.h, linux/in6.h
_MTU_DISCOVER = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}
_MTU = {socket.AF_INET: (socket.IPPROTO_IP, 14), socket.AF_INET6: (socket.IPPROTO_IPV6, 24)}
_PROBE = 3  # never fragment, and never mind what was learned


class Path(NamedTuple):
    """The path to an exit."""

    ends: str  # from which address of ours to which one of the exit's
    family: int  # IP version
    mtu: int  # bytes, as far as the kernel knows


async def look(endpoint: str, mark: Optional[int]) -> Optional[Path]:
    """Return the path to "address:port", as `wg` spells it; None when there is none now.

    `mark`: what the tunnel's own packets have; None: nothing.
    """
    with contextlib.suppress(OSError), _connected(endpoint, mark) as connection:
        family = connection.family
        connection.setsockopt(*_MTU_DISCOVER[family], _PROBE)
        known = connection.getsockopt(*_MTU[family])
        with contextlib.suppress(OSError):  # the link has become narrower at this moment
            connection.send(os.urandom(max(0, known - _UDP_HEADERS[family])))
        await asyncio.sleep(ANSWER)  # with the socket there: else the kernel would not listen to the router
        ends = f"{connection.getsockname()[0]} → {connection.getpeername()[0]}"
        with _connected(endpoint, mark) as again:
            return Path(ends, 6 if family == socket.AF_INET6 else 4, again.getsockopt(*_MTU[family]))
    return None


def source(endpoint: str, mark: Optional[int]) -> str:
    """Return the host's own address on the way to "address:port"; "" when there is no way now."""
    with contextlib.suppress(OSError), _connected(endpoint, mark) as connection:
        return str(connection.getsockname()[0])
    return ""


def _connected(endpoint: str, mark: Optional[int]) -> socket.socket:
    host, port = split_endpoint(endpoint)
    connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if mark is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        connection.connect((host, int(port)))
    except OSError:
        connection.close()
        raise
    return connection
