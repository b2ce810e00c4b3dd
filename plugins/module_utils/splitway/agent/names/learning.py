# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal at work: answers are read as they come, written down every few seconds, put back where missed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Callable, Optional

from ...failures import FAILURES
from ...present import present
from ...state import Dns, State
from ...store import Held, Store
from ..healing.loop import Worker
from . import learned
from .answers import Answer, Answers, places
from .journal import Journal

EVERY = 5.0  # seconds between writings
# Seconds between looks for answers. Nobody waits at the socket: dnsmasq would wake us up with each answer that it
# sends. At 3,000 a second that took it a fifth more time, and us more than twice as much (36 µs each, so 16; measured).
READ = 0.25

Hear = Callable[[list[Answer]], None]

log = logging.getLogger("splitway")


class Learning:
    """What the agent knows of names and their addresses."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store, self.journal = store, journal
        self.hear: Optional[Hear] = None  # is told of every answer, those to names that are not listed, too
        self._state = State()
        self.names = learned.Names(())
        self._read_names: tuple[Optional[Dns], learned.Names] = (None, self.names)  # of the lines of a section
        self._answers: dict[str, Answers] = {}  # by interface
        self._reading = threading.Lock()  # the loop reads, and the worker before it refills
        self._unheard: list[Answer] = []  # noted, and `hear` not told yet
        self._lost_answers = 0  # by sockets of before
        self.refused: Counter[str] = Counter()  # set → additions that it had no room for, since the start
        self._full: frozenset[str] = frozenset()  # sets that were full at the last look

    def configure(self, state: State) -> None:
        """Go by another generation from now on."""
        before = places(self._state)
        self._state, self.names = state, self._names_of(state)
        if places(state) and (not self._answers or places(state) != before):
            self._listen(places(state))

    def _names_of(self, state: State) -> learned.Names:
        local, (dns, known) = learned.local_names(self._store.system), self._read_names
        if state.dns is not dns or known.local != local:
            known = learned.Names(state.dns.lines if state.dns else (), local)
            self._read_names = state.dns, known
        return known

    def _listen(self, where: Mapping[str, Optional[tuple[str, ...]]]) -> None:
        with self._reading:
            for answers in self._answers.values():
                self._lost_answers += answers.count_dropped()
                answers.close()
            self._answers = {interface: Answers(addresses) for interface, addresses in where.items()}
            self._bind()

    def _bind(self) -> None:
        for interface, answers in self._answers.items():
            answers.bind(interface)

    async def _read_on(self) -> None:
        while True:
            await asyncio.sleep(READ)
            while self._read():
                await asyncio.sleep(0)

    def _read(self) -> bool:
        """Take some of the answers that have come; return whether there were any."""
        some = self._note_waiting()
        with self._reading:
            heard, self._unheard = self._unheard, []
        if heard and self.hear:
            self.hear(heard)
        return some

    def _note_waiting(self) -> bool:
        """Note some of the answers that have come; return whether there were any. For any thread."""
        with self._reading:
            waiting = [answers for answers in self._answers.values() if answers.waiting()]
            if not waiting:
                return False
            heard = [answer for answers in waiting for answer in answers.read()]
            learned.record(self.journal, self.names, heard, self._store.system.now())
            self._unheard += heard
        return True

    def refill(self, state: State) -> int:
        """Give the learned sets what they lack; return how many addresses. Blocks; call with the lock held."""
        if state.agent is None:
            return 0
        # What was answered in the last seconds is written down nowhere, and in no set that was made anew.
        while self._note_waiting():
            pass
        names, now = self._names_of(state), self._store.system.now()
        latest = learned.refresh(self._store.system, state, self.journal, names, now)
        done = learned.refill(self._store.system, state, self.journal, names, now)
        learned.end_flows(self._store.system, state, latest.addresses | done.addresses)
        refused = {**latest.refused, **done.refused}
        self._full &= refused.keys()
        self._tell_full(refused)
        for name, count in done.removed.items():
            log.info("set %s: %d addresses of names that are on it no longer", name, count)
        return sum(latest.added.values()) + sum(done.added.values())

    def _tell_full(self, refused: Mapping[str, int]) -> None:
        for name in sorted(refused.keys() - self._full):
            log.error("set %s is full: of %d addresses its rules know nothing until others expire", name, refused[name])
        self._full |= refused.keys()
        self.refused.update(refused)

    def lost(self) -> dict[str, int]:
        """Return what came faster than it could be kept since the start, by kind."""
        answers = self._lost_answers + sum(answers.dropped for answers in self._answers.values())
        return {"answers": answers, "journal": self.journal.lost}

    async def run(self, worker: Worker[bool]) -> None:
        """Read and write down what was answered, for ever."""
        await asyncio.gather(self._read_on(), self._write_on(worker))

    async def _write_on(self, worker: Worker[bool]) -> None:
        while True:
            await asyncio.sleep(EVERY)
            if self._state.agent is None or not self._answers:
                continue
            self._bind()
            for answers in self._answers.values():
                answers.count_dropped()
            try:
                await worker(self.write)
            except FAILURES as error:
                log.warning("the journal: %s", error)
            while self.journal.notices:
                log.error("%s", self.journal.notices.pop())

    def write(self) -> bool:
        """Write down what was answered, and give the sets what is new; return whether they have all of it. Blocks."""
        # Whoever has the gateway may be waiting for the agent to end; what was answered waits.
        with contextlib.suppress(Held), self._store.lock(patience=0):
            if self._store.transaction() is not None:
                return False  # its sets may not be there yet
            done = learned.refresh(self._store.system, self._state, self.journal, self.names, self._store.system.now())
            self._tell_full(done.refused)
            chosen = present(self._store, self._state)
            learned.end_flows(self._store.system, chosen, done.addresses)
            return not done.refused
        return False

    def close(self) -> None:
        """Write down what is left to write."""
        self._read()
        with contextlib.suppress(*FAILURES):
            self.write()
        self.journal.close()
