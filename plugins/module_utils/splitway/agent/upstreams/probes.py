# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks an upstream's targets through its tunnel: ICMP echo, TCP connect, DNS.

The sockets are bound to the tunnel's interface, which policy routing honours (``oif wg-up-N lookup T``). What a
network does, a missing interface included, is an answer or none, never an exception.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
import struct
from collections.abc import Iterable
from typing import Optional

from ...state import Target, Watch
from . import echo

_UNREACHABLE = frozenset((errno.EHOSTUNREACH, errno.ENETUNREACH))
_DNS_PORT = 53
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h: else UDP hears of refused ports only


class Memory:
    """What is kept of an upstream's targets from round to round, and what the last round found beside replies."""

    def __init__(self) -> None:
        self.best: Optional[Target] = None  # it answered last
        self.failed = False  # nobody answered in the last round
        self.answered: set[Target] = set()
        self.asked: dict[Target, int] = {}  # of those that never answered: how often
        self.refused: frozenset[Target] = frozenset()  # the far end says that it cannot reach them
        self.received: Optional[int] = None  # bytes of any kind that came in while nobody answered; None: not looked at
        self.echoes: Optional[echo.Echoes] = None  # the sockets of its echoes, once there were some

    def close(self) -> None:
        """Give the sockets back."""
        if self.echoes is not None:
            self.echoes.close()
            self.echoes = None


async def ask(watch: Watch, memory: Memory) -> dict[Target, Optional[float]]:
    """Return the round trip (seconds) of each target that was asked; None: it did not answer in time.

    The one that answered last is asked first; the others after half of the time, or at once when nobody answered in
    the last round. A target that has not answered yet is asked a few times, so that it is known whether it does.
    """
    first, later = _order(watch, memory)
    before = _received(watch.interface) if memory.failed else None
    if memory.echoes is None:
        memory.echoes = echo.Echoes(watch.interface)
    asking = _Asking(watch.interface, memory.echoes)
    start = asking.loop.time()
    try:
        asking.send(first)
        await asking.until(start + watch.timeout / 2000)
        if not asking.answered():
            before = _received(watch.interface) if before is None else before
            asking.send(later)
        await asking.until(start + watch.timeout / 1000)
    finally:
        asking.close()
    _learn(memory, asking)
    memory.received = max(0, _received(watch.interface) - (before or 0)) if memory.failed else None
    return asking.replies


def _order(watch: Watch, memory: Memory) -> tuple[list[Target], list[Target]]:
    if memory.failed or memory.best not in watch.targets:
        return list(watch.targets), []
    new = [target for target in watch.targets if target not in memory.answered]
    first = [memory.best, *(target for target in new if memory.asked.get(target, 0) < watch.down_after)]
    return first, [target for target in watch.targets if target not in first]


def _learn(memory: Memory, asking: _Asking) -> None:
    times = {target: time for target, time in asking.replies.items() if time is not None}
    memory.failed = not times
    memory.refused = frozenset(asking.refused)
    memory.answered.update(times)
    for target in asking.replies.keys() - memory.answered:
        memory.asked[target] = memory.asked.get(target, 0) + 1
    if times and memory.best not in times:
        memory.best = min(times, key=times.__getitem__)


def _received(interface: str) -> int:
    """Return the bytes that an interface has received, 0 when there is none of that name."""
    with open("/proc/thread-self/net/dev", encoding="ascii") as stream:
        for line in stream:
            name, _, counters = line.partition(":")
            if name.strip() == interface:
                return int(counters.split(None, 1)[0])
    return 0


class _Asking:
    """One round: its sockets, and who has answered."""

    def __init__(self, interface: str, echoes: echo.Echoes) -> None:
        self.loop = asyncio.get_running_loop()
        self.replies: dict[Target, Optional[float]] = {}
        self.refused: set[Target] = set()
        self._interface = interface.encode()
        self._sent: dict[Target, float] = {}  # those that may answer yet: when they were asked
        self._sockets: list[socket.socket] = []  # of this round, where a conversation is begun
        self._echoes = echoes
        self._requests: dict[echo.Identity, Target] = {}
        echoes.hear = self._hear_echo
        self._wake: Optional[asyncio.Future[None]] = None

    def send(self, targets: Iterable[Target]) -> None:
        """Ask these targets."""
        for target in targets:
            self.replies[target] = None
            self._sent[target] = self.loop.time()
            try:
                self._send(target)
            except OSError:  # no interface, no route, no address of this family
                self._sent.pop(target, None)

    def _send(self, target: Target) -> None:
        if target.kind == "icmp":
            self._send_echo(target)
        elif target.kind == "tcp":
            self._connect(target)
        else:
            self._send_query(target)

    def answered(self) -> bool:
        """Return whether somebody has answered."""
        return any(time is not None for time in self.replies.values())

    async def until(self, deadline: float) -> None:
        """Wait until all have answered or cannot any more, or until the deadline (the loop's time)."""
        while self._sent and self.loop.time() < deadline:
            self._wake = self.loop.create_future()
            timer = self.loop.call_at(deadline, self._awake)
            try:
                await self._wake
            finally:
                timer.cancel()

    def close(self) -> None:
        """Give the sockets back."""
        for connection in self._sockets:
            self.loop.remove_reader(connection)
            self.loop.remove_writer(connection)
            connection.close()

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _settle(self, target: Target, answered: bool, refused: bool = False) -> None:
        sent = self._sent.pop(target, None)
        if sent is None:
            return
        if answered:
            self.replies[target] = self.loop.time() - sent
        elif refused:
            self.refused.add(target)
        if answered or not self._sent:
            self._awake()

    def _socket(self, target: Target, kind: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        connection = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        self._sockets.append(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface)
        return connection

    def _send_echo(self, target: Target) -> None:
        self._requests[self._echoes.send(target.address)] = target

    def _hear_echo(self, heard: echo.Heard, origin: str) -> None:
        target = self._requests.get(heard.identity)
        if target is None:
            return
        if heard.refused:
            self._settle(target, answered=False, refused=True)
        elif origin == target.address:
            self._settle(target, answered=True)

    def _connect(self, target: Target) -> None:
        connection = self._socket(target, socket.SOCK_STREAM)
        # Closed by one RST: nobody waits for the end of a conversation that never began.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        code = connection.connect_ex((target.address, target.port))
        if code != errno.EINPROGRESS:
            raise OSError(code, os.strerror(code))
        self.loop.add_writer(connection, self._hear_connection, connection, target)

    def _hear_connection(self, connection: socket.socket, target: Target) -> None:
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.loop.remove_writer(connection)
        # A port that is closed is an answer of the far end as good as an open one.
        self._settle(target, code in (0, errno.ECONNREFUSED), code in _UNREACHABLE)

    def _send_query(self, target: Target) -> None:
        connection = self._socket(target, socket.SOCK_DGRAM)
        if connection.family == socket.AF_INET6:
            connection.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            connection.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        connection.connect((target.address, target.port or _DNS_PORT))
        identity = os.urandom(2)
        connection.send(identity + _query(target.name or "."))
        self.loop.add_reader(connection, self._hear_response, connection, target, identity)

    def _hear_response(self, connection: socket.socket, target: Target, identity: bytes) -> None:
        try:
            data = connection.recv(4096)
        except OSError as error:
            self.loop.remove_reader(connection)
            # Nobody listens there: not what a target of this kind is asked for, and no proof against the tunnel.
            self._settle(target, answered=False, refused=error.errno in _UNREACHABLE)
            return
        if data[:2] == identity:
            self._settle(target, answered=True)


@functools.cache
def _query(name: str) -> bytes:
    """Return a query for a name's IPv4 addresses, without its identity."""
    import dns.message

    return dns.message.make_query(name, "A").to_wire()[2:]
