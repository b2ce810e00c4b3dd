# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets that are warm: the lists' names are resolved before the first client asks.

What resolvers answer goes the way of answers to clients: into the journal, and from there into the sets.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Optional

from ...state import State
from ...system import System
from .learning import Learning
from .question import Reply
from .resolver import Item, Resolver
from .whom import Whom, usual

MOST = 20_000  # names; the first of the lists
AGAIN = 30.0  # seconds until names are asked for again that nobody has answered
ROUNDS = 3

log = logging.getLogger("splitway")


class Warming:
    """Resolves the names of lists that are new."""

    def __init__(self, system: System, learning: Learning, resolver: Resolver) -> None:
        self._system, self._learning, self._resolver = system, learning, resolver
        self._asked: frozenset[str] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()

    def configure(self, state: State) -> None:
        """Begin with the names that the generation before did not have. `state` has the choices in force."""
        before, self._asked = self._asked, frozenset(self._learning.names.domains)
        new = [domain for domain in self._learning.names.domains if domain not in before]
        if state.dns is None or state.agent is None:
            return
        whom = Whom(state.dns, usual(self._system, state))
        self._resolver.memory.forget(whom.all)
        if new and state.agent.warm_up:
            task = asyncio.ensure_future(self._warm_up(list(whom.items(islice(new, MOST)))))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _warm_up(self, items: Iterable[Item]) -> None:
        left = list(items)
        count, began = len(left), time.monotonic()
        for _ in range(ROUNDS):
            left = await resolve(self._resolver, self._learning, left, self._system.now)
            log.info(
                "warmed up: %d of %d questions were answered, in %.1f s",
                *(count - len(left), count, time.monotonic() - began),
            )
            if not left:
                return
            await asyncio.sleep(AGAIN)


async def resolve(
    resolver: Resolver, learning: Learning, items: Iterable[Item], now: Callable[[], float]
) -> list[Item]:
    """Ask, and note what is answered, with the time (seconds since the epoch); return what nobody has answered."""
    silent: list[Item] = []

    def take(item: Item, reply: Optional[Reply]) -> None:
        if reply is None:
            silent.append(item)
        elif reply.addresses:
            learning.journal.note(item.name, reply.addresses, now())

    await resolver.resolve(items, take)
    return silent
