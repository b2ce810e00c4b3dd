# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an address takes a connection, and how fast: tried by the way that the names' egress goes."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from ipaddress import IPv6Address, ip_address
from typing import Optional

from .question import opened
from .whom import Way


def may_be_tried(address: str) -> bool:
    """Return whether an address can be somebody else's: a name may be answered with any."""
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return False  # the host would connect by IPv4, to its own loopback for one
    here = found.is_loopback or found.is_unspecified
    return not (here or found.is_link_local or found.is_multicast)


async def connect(address: str, port: int, way: Way, patience: float) -> Optional[float]:
    """Return the seconds until a connection was there, None when there was none within `patience` (seconds)."""
    loop = asyncio.get_running_loop()
    try:
        channel = opened(address, way.interface, socket.SOCK_STREAM, way.mark)
    except OSError:
        return None
    with channel:
        # Closed by one RST: nobody waits for the end of a conversation that never began.
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        began = loop.time()
        done: asyncio.Future[bool] = loop.create_future()
        if channel.connect_ex((address, port)) not in (0, errno.EINPROGRESS):
            return None
        timer = loop.call_later(patience, _settle, done, False)
        loop.add_writer(channel, _hear, done, channel)
        try:
            return loop.time() - began if await done else None
        finally:
            timer.cancel()
            loop.remove_writer(channel)


def _hear(done: asyncio.Future[bool], channel: socket.socket) -> None:
    _settle(done, channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0)


def _settle(done: asyncio.Future[bool], answered: bool) -> None:
    if not done.done():
        done.set_result(answered)
