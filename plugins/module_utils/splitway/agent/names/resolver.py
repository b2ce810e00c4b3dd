# SPDX-License-Identifier: GPL-3.0-or-later
"""Many names asked for at once: a bounded number of questions, several tries each, at several resolvers.

A question that is not answered in time is asked again elsewhere. When a resolver turns out to be dead (servers.py), all
questions that wait for it are asked elsewhere at once: in all it costs one time to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Optional

from .question import Question, Reply, wire
from .servers import Memory, Server

RATE = 500.0  # questions a second, at most: public resolvers refuse those who ask many more


@dataclass(frozen=True)
class Limits:
    """How names are asked for."""

    concurrency: int = 50
    timeout: float = 2.0  # seconds
    tries: int = 3
    mark: int = 0  # of the packets; 0: none


@dataclass(frozen=True)
class Item:
    """One thing to ask: a name's addresses of one family, and at whom."""

    name: str
    family: int
    servers: tuple[Server, ...]


Take = Callable[[Item, Optional[Reply]], None]
"""Takes an answer; None: nobody gave one."""


class Resolver:
    """Asks. All of it belongs to one loop."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.configure(Limits())
        self._waiting: dict[Server, set[asyncio.Future[Reply]]] = {}  # those who are told that it is dead
        self._next = 0.0  # when the next question may be sent, by the loop's clock

    def configure(self, limits: Limits) -> None:
        """Ask by these limits from now on."""
        self.limits = limits
        self._free = asyncio.Semaphore(limits.concurrency)

    async def resolve(self, items: Iterable[Item], take: Take) -> None:
        """Ask all of it; each answer is taken as it comes."""
        shared: Iterator[Item] = iter(items)

        async def work() -> None:
            for item in shared:
                async with self._free:
                    reply = await self._answer(item)
                take(item, reply)
                await asyncio.sleep(0)  # names that cannot be asked for must not keep the loop to themselves

        await asyncio.gather(*(work() for _ in range(self.limits.concurrency)))

    async def _answer(self, item: Item) -> Optional[Reply]:
        name = wire(item.name)
        if name is None:
            return Reply()
        loop = asyncio.get_running_loop()
        before: list[Server] = []
        for _ in range(self.limits.tries):
            server = self.memory.choose(item.servers, before, loop.time())
            if server is None:
                return None
            before.append(server)
            reply = await self._try(server, name, item.family)
            if reply is not None:
                return reply
        return None

    async def _try(self, server: Server, name: bytes, family: int) -> Optional[Reply]:
        """Return one resolver's answer, None when it gives none that helps."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        self.memory.sent(server)  # before others choose, while this one waits for its turn
        self._waiting.setdefault(server, set()).add(answer)
        began, took = loop.time(), None
        try:
            await self._pace()
            if answer.done():
                await answer  # nobody need ask a dead one
            began = loop.time()
            reply = await self._exchange(Question(server, name, family, self.limits.mark), answer)
            took = loop.time() - began
        except _Dead:
            reply = None
        except (asyncio.TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            reply = None
            self._waiting[server].discard(answer)  # it is not waited for any more
            refused = isinstance(error, OSError) and not isinstance(error, asyncio.TimeoutError)
            if self.memory.silent(server, loop.time(), began, refused):
                self._tell(server)
        finally:
            self._waiting[server].discard(answer)
            self.memory.done(server, loop.time(), took, reply is not None and reply.good)
        return reply if reply is not None and reply.good else None

    async def _exchange(self, asked: Question, answer: asyncio.Future[Reply]) -> Reply:
        loop, timeout = asyncio.get_running_loop(), self.limits.timeout

        def hear() -> None:
            try:
                reply = asked.read()
            except OSError as error:
                _fail(answer, error)
                return
            if reply is not None and not answer.done():
                answer.set_result(reply)

        loop.add_reader(asked.socket, hear)
        timer = loop.call_later(timeout, _fail, answer, asyncio.TimeoutError())
        try:
            reply = await answer
        finally:
            timer.cancel()
            loop.remove_reader(asked.socket)
            asked.socket.close()
        return await asyncio.wait_for(asked.at_length(), timeout) if reply.truncated else reply

    def _tell(self, server: Server) -> None:
        for answer in self._waiting[server]:
            _fail(answer, _Dead())

    async def _pace(self) -> None:
        now = asyncio.get_running_loop().time()
        self._next = max(now, self._next + 1 / RATE)
        if self._next > now:
            await asyncio.sleep(self._next - now)


class _Dead(Exception):
    """The resolver that is asked is dead, as another question has found out."""


def _fail(answer: asyncio.Future[Reply], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
