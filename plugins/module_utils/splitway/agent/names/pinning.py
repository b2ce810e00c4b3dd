# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned names at work: asked for, their addresses tried again and again, and our dnsmasq told the best.

dnsmasq puts nothing into sets for what it has from us: an address is in the sets of its name before dnsmasq is told it,
and is kept there like any that a client was answered with. dnsmasq forgets what it was told when the agent ends, or
knows no address that lives: then names are resolved as all others are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Callable, Optional

from ...countries.lookup import Lookup
from ...failures import FAILURES
from ...reconcile.dns import forget
from ...reconcile.dns.text import PINNED, paths
from ...state import FAMILIES, Resolving, State
from ...store import Held, Store
from ...system import SystemFailure
from ..healing.loop import Worker
from . import score_file
from .learning import Learning
from .pins import Known, seen, text
from .question import Reply
from .reach import connect, may_be_tried
from .resolver import Item, Resolver
from .scores import UNKNOWN, after
from .whom import Way, Whom, usual, way

SETTLED = 2.0  # seconds after which dnsmasq has the answers to what it asked before
SAVE = 300.0  # seconds between savings of the scores
AT_ONCE = 300  # connections that are tried
RATE = 800.0  # of them a second, at most
RECORDS = {4: "A", 6: "AAAA"}
ELSEWHERE = 0.05  # seconds that an address in another country than those that are preferred is taken to cost more

Key = tuple[str, int]
"""A name and a family."""

Present = Callable[[], tuple[State, frozenset[str]]]
"""Returns the state with the choices in force, and the interfaces of the upstreams that are down."""

log = logging.getLogger("splitway")


class Pinning:
    """Keeps pinned names on their best addresses."""

    def __init__(self, store: Store, learning: Learning, resolver: Resolver, present: Present) -> None:
        self._store, self._system = store, store.system
        self._learning, self.resolver, self._present = learning, resolver, present
        self._settings = Resolving()
        self._file = paths(store.system).pinned / PINNED
        self.known: dict[Key, Known] = {}
        self.egress: dict[str, int] = {}  # of each pinned name
        self.scores = self._load()
        self.countries = Lookup(store.system, ())
        self._put: set[tuple[str, str, tuple[str, ...]]] = set()  # name, address, sets: those that have it
        self._asking: Optional[asyncio.Task[None]] = None
        self._changed = asyncio.Event()
        self._pinned: dict[Key, float] = {}  # since when, by time.monotonic()
        self._forgot = float("-inf")  # when dnsmasq has forgotten what it had from resolvers
        self._told: Optional[str] = None  # what dnsmasq was told last; None: not known

    def _load(self) -> score_file.Scores:
        try:
            return score_file.load(self._system)
        except (score_file.Damaged, SystemFailure, OSError) as error:
            log.error("%s: the scores of addresses are begun anew", error)
            return {}

    def configure(self, state: State) -> None:
        """Go by another generation from now on."""
        self._settings = state.agent.resolving if state.agent else Resolving()
        local = self._learning.names.local  # dnsmasq answers these by itself
        self.egress = {name: part.egress for part in self._settings.pinned for name in part.names if name not in local}
        before, filtered = self.known, state.dns.filtered if state.dns else ()
        families = [family for family in FAMILIES if RECORDS[family] not in filtered]
        self.known = {
            (name, family): before.get((name, family), Known()) for name in self.egress for family in families
        }
        self.countries = Lookup(self._system, sorted(set(state.marks.countries.values()) if state.marks else ()))
        self._put = {entry for entry in self._put if entry[0] in self.egress}
        self._changed.set()

    async def run(self, worker: Worker[bool]) -> None:
        """Ask, try and tell, for ever: each address that is served first twice in an interval."""
        saved = time.monotonic()
        while True:
            self._changed.clear()
            began = time.monotonic()
            length = self._settings.interval / 2000
            if self.egress:
                await self._step(worker, length)
            else:
                self._tell({})
            if time.monotonic() - saved > SAVE:
                saved = time.monotonic()
                self._save()
            await self._rest(max(0.05, length - (time.monotonic() - began)))

    async def _rest(self, seconds: float) -> None:
        """Wait for the next step: some time, or until there is a reason not to."""
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            reasons = {changed} if self._asking is None else {changed, self._asking}
            await asyncio.wait(reasons, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        if self._asking is not None and self._asking.done():
            self._asking.result()
            self._asking = None

    async def _step(self, worker: Worker[bool], length: float) -> None:
        state, down = self._present()
        self._ask(state)
        ways = {number: way(state, number) for number in set(self.egress.values())}
        # Through a tunnel that is down none answers: that says nothing about them.
        await self._try({number: by for number, by in ways.items() if by and by.interface not in down}, length)
        await self._serve(worker)

    def _ask(self, state: State) -> None:
        """Begin to ask for the names whose time has come, unless we do already."""
        now = self._system.now()
        interval = self._settings.interval / 1000
        due = [key for key, known in self.known.items() if known.wants(now, interval)]
        if not due or state.dns is None or self._asking is not None:
            return
        whom = Whom(state.dns, usual(self._system, state))
        items = [item for name, family in due for item in whom.items((name,), (family,))]
        if items:
            self._asking = asyncio.ensure_future(self.resolver.resolve(items, self._take))

    def _take(self, item: Item, reply: Optional[Reply]) -> None:
        known = self.known.get((item.name, item.family))
        if known is None:
            return
        if reply is None:
            known.silence(self._system.now(), self._settings.interval / 1000)
        else:
            known.answer(filter(may_be_tried, reply.addresses), reply.ttl, self._system.now())

    async def _try(self, ways: Mapping[int, Way], length: float) -> None:
        """Try the addresses whose time has come, those that are served first before all others.

        No try begins in the second half of a step, nor lasts longer than a half: what does not fit waits for the next.
        """
        loop, half = asyncio.get_running_loop(), length / 2
        patience = min(self._settings.timeout / 1000, half)
        began, shared = loop.time(), enumerate(self._due(ways, length).items())

        async def work() -> None:
            for index, (key, by) in shared:
                await asyncio.sleep(max(0.0, began + index / RATE - loop.time()))
                if loop.time() - began > half:
                    return
                took = await connect(key[1], self._settings.port, by, patience)
                self.scores[key] = after(self.scores.get(key, UNKNOWN), self._system.now(), took)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    def _due(self, ways: Mapping[int, Way], length: float) -> dict[score_file.Key, Way]:
        """Return what is to be tried in this step, and by which way."""
        now = self._system.now()
        first: dict[score_file.Key, Way] = {}
        others: dict[score_file.Key, Way] = {}
        for (name, _family), known in self.known.items():
            number = self.egress[name]
            known.forget(now)
            if number in ways:
                scores = seen(self.scores, number, known.answered)
                for address in known.due(scores, now, length * 0.9):  # a step may come a little early
                    (first if address in known.served[:1] else others)[number, address] = ways[number]
        return {**first, **others}

    async def _serve(self, worker: Worker[bool]) -> None:
        """Choose, and tell dnsmasq, after the sets have what it is told."""
        now = self._system.now()
        for key, known in self.known.items():
            self._choose(key, known, now)
        for name, address, _sets in self._served():
            self._learning.journal.note(name, (address,), now)
        self._tell(self._safe())  # what has left does not wait for what is new: the worker may be busy
        served = set(self._served())
        self._put &= served
        new = served - self._put
        if new:
            try:
                if await worker(self._learning.write):
                    self._put |= new
            except FAILURES as error:
                log.warning("pinned names: %s", error)
            self._tell(self._safe())
        await self._forget(worker)

    async def _forget(self, worker: Worker[bool]) -> None:
        """Have dnsmasq forget what it had from resolvers of names that are pinned now.

        It adds that to what it has from us, in which a dead address may be, until its time is over (measured). What it
        was asking for when it was told may come later: so not at once. And not often: it forgets all other names, too.
        """
        now = time.monotonic()
        told = ((name, 6 if ":" in address else 4) for name, found in self._safe().items() for address in found)
        self._pinned = {key: self._pinned.get(key, now) for key in told}
        lately = any(self._forgot < since + SETTLED <= now for since in self._pinned.values())
        if not lately or now - self._forgot < self._settings.interval / 1000:
            return
        try:
            if await worker(self._reload):
                self._forgot = now
        except FAILURES as error:
            log.warning("pinned names: %s", error)

    def _reload(self) -> bool:
        with contextlib.suppress(Held), self._store.lock(patience=0):
            if self._store.transaction() is None:  # a run may be restarting it
                forget(self._system)
                return True
        return False

    def _choose(self, key: Key, known: Known, now: float) -> None:
        name, family = key
        number = self.egress[name]
        chosen = known.choose(seen(self.scores, number, known.answered), now, self._handicap)
        if known.served and not chosen:
            log.warning(
                "pinned name %s: none of its IPv%d addresses answers, it is resolved as others are", name, family
            )
        elif known.served and known.served[0] not in chosen:
            log.info("pinned name %s: %s does not answer, %s is the first now", name, known.served[0], chosen[0])
        known.served = chosen

    def _handicap(self, address: str) -> float:
        if not self._settings.countries:
            return 0.0
        country = self.countries.of(address)
        return ELSEWHERE if country and country not in self._settings.countries else 0.0

    def _served(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        for (name, _family), known in self.known.items():
            for address in known.served:
                yield name, address, self._learning.names.sets_of(name, address)

    def _safe(self) -> dict[str, list[str]]:
        """Return the addresses that dnsmasq may tell clients: those that the sets have."""
        found: dict[str, list[str]] = {}
        for entry in self._served():
            if entry in self._put:
                found.setdefault(entry[0], []).append(entry[1])
        return found

    def _tell(self, served: Mapping[str, list[str]]) -> None:
        told = text(served) if served else None
        if not self._file.parent.is_dir():  # dnsmasq's start makes it
            self._told = None
        elif told is None:
            self._system.remove_file(self._file)
            self._told = None
        elif told != self._told:
            try:
                self._system.write_file(self._file, told, 0o644)
                self._told = told
            except (SystemFailure, OSError) as error:
                log.error("pinned names: %s", error)

    def _save(self) -> None:
        self.scores = score_file.worth_keeping(self.scores, self._system.now())
        try:
            score_file.save(self._system, self.scores)
        except (SystemFailure, OSError) as error:
            log.warning("the scores of addresses are not saved: %s", error)

    def close(self) -> None:
        """Have dnsmasq forget what it was told; keep the scores."""
        self._tell({})
        if self.scores:
            self._save()
