# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to one resolver: by UDP, and by TCP where the answer is too long; through a tunnel and no other way.

Each question has a socket of its own, and with it a port that nobody can guess; it is connected, so that the kernel
takes nothing from others, and says at once when nobody listens. A socket that is bound to a tunnel sends nothing
elsewhere, whatever becomes of the tunnel. dnspython has no such sockets; it reads and writes names.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from dataclasses import dataclass
from typing import Optional

import dns.exception
import dns.name
from dns.wire import Parser

from .answers import addresses_of
from .servers import Server

KINDS = {4: 1, 6: 28}
"""Family → A, AAAA."""

_RESPONSE, _TRUNCATED, _CODE = 0x8000, 0x0200, 0x000F
_NO_ERROR, _NO_SUCH_NAME = 0, 3
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h: else UDP does not hear of a network that is unreachable
_LONGEST = 0xFFFF


@dataclass(frozen=True)
class Reply:
    """What a resolver said. That a name does not exist is an answer without addresses."""

    addresses: tuple[str, ...] = ()
    ttl: int = 0  # seconds, of the address that lives shortest
    good: bool = True  # False: it cannot or will not answer; another may
    truncated: bool = False


def wire(name: str) -> Optional[bytes]:
    """Return a name as questions have it, None when there can be no such name."""
    try:
        return dns.name.from_text(name).to_wire()
    except dns.exception.DNSException:
        return None


class Question:
    """A question that was sent by UDP; what is received is given to `read`."""

    def __init__(self, server: Server, name: bytes, family: int, mark: int) -> None:
        """Send it. `mark`: the firewall mark of its packets, 0 for none. Raises OSError."""
        self._server, self._mark = server, mark
        self._identity = secrets.token_bytes(2)
        self._asked = name + struct.pack("!HH", KINDS[family], 1)
        self._message = self._identity + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + self._asked
        self.socket = opened(server.address, server.interface, socket.SOCK_DGRAM, mark)
        try:
            if self.socket.family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                self.socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            self.socket.connect((server.address, server.port))
            self.socket.send(self._message)
        except BaseException:
            self.socket.close()
            raise

    def read(self) -> Optional[Reply]:
        """Return what was received, None when it does not answer the question. Raises OSError: nobody listens there."""
        return read(self.socket.recv(_LONGEST), self._identity, self._asked)

    async def at_length(self) -> Reply:
        """Return the answer by TCP. Raises OSError, asyncio.IncompleteReadError."""
        server, loop = self._server, asyncio.get_running_loop()
        channel = opened(server.address, server.interface, socket.SOCK_STREAM, self._mark)
        try:
            await loop.sock_connect(channel, (server.address, server.port))
            reader, writer = await asyncio.open_connection(sock=channel)
        except BaseException:
            channel.close()
            raise
        try:
            writer.write(struct.pack("!H", len(self._message)) + self._message)
            length = struct.unpack("!H", await reader.readexactly(2))[0]
            found = read(await reader.readexactly(length), self._identity, self._asked)
            return Reply(good=False) if found is None or found.truncated else found
        finally:
            writer.close()


def opened(address: str, interface: str, kind: int, mark: int) -> socket.socket:
    """Return a socket whose packets to an address go through an interface, "" any, with a mark. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    channel = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if interface:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        if mark:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    except BaseException:
        channel.close()
        raise
    return channel


def read(message: bytes, identity: bytes, question: bytes) -> Optional[Reply]:
    """Return what a message says, None when it does not answer the question; it repeats it, letter by letter."""
    if message[:2] != identity or message[12 : 12 + len(question)] != question:
        return None
    try:
        parser = Parser(message)
        _identity, flags, _questions, answers, _authority, _additional = parser.get_struct("!HHHHHH")
        parser.get_bytes(len(question))
        if not flags & _RESPONSE:
            return None
        if flags & _TRUNCATED:
            return Reply(truncated=True)
        found = tuple(addresses_of(parser, answers))
    except dns.exception.DNSException:
        return Reply(good=False)
    good = flags & _CODE in (_NO_ERROR, _NO_SUCH_NAME)
    addresses = tuple(dict.fromkeys(address for address, _ttl in found))
    return Reply(addresses, min((ttl for _address, ttl in found), default=0), good)
