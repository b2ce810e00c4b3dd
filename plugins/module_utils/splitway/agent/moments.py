# SPDX-License-Identifier: GPL-3.0-or-later
"""Goes over from one moment to the next: an hour of a schedule begins or ends, a country has other networks.

What differs is brought into the kernel by the reconcilers, additions first, and the flows whose way differs end. Only
that: everything else is for healing. A run of site.yml that has the gateway at this moment keeps what its commit is to
remove.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from .. import audit, moment
from ..present import Networks, as_of, known_to, resting_at, schedules_of
from ..reconcile.base import Change, additions, removals
from ..reconcile.sections import RECONCILERS, move_flows
from ..schedules import Schedule
from ..state import FAMILIES, State
from ..store import Store
from .for_ever import for_ever
from .healing.generation import Generation

EVERY = 1.0  # seconds between looks at the clock and at the countries' data
PATIENCE = 2.0  # seconds for a step of a run to end; else at the next look
_SECTIONS = ("sets", "marks")

log = logging.getLogger("splitway")
Worker = Callable[..., Awaitable[None]]


class Moments:
    """Knows for which moment the kernel's rules were made."""

    def __init__(self, store: Store, generation: Generation) -> None:
        self._store, self._generation = store, generation
        self._at = moment.last(store.system) or store.system.now()
        self._kept = False
        self._known: dict[tuple[str, int], tuple[str, ...]] = {}
        self._looked_at = State()
        self._schedules: frozenset[Schedule] = frozenset()

    async def run(self, worker: Worker, changed: Callable[[], None]) -> None:
        """Look for ever; `changed` is called after the rules went over to another moment."""

        async def look() -> None:
            if self.differs():
                await worker(self.go_over)
                changed()

        await for_ever(EVERY, look, "going over to this hour's rules")

    def differs(self) -> bool:
        """Return whether the rules of now are others than those of the last look."""
        state, now = self._generation.state, self._store.system.now()
        if state is not self._looked_at:
            self._looked_at, self._schedules = state, schedules_of(state.marks) if state.marks else frozenset()
            self._kept = False
        same = resting_at(self._schedules, self._at) == resting_at(self._schedules, now)
        known = self._networks(state)
        if same and all(self._known.get(key, found) == found for key, found in known.items()):
            self._at, self._known = now, known
            if not self._kept:
                self._keep(now)
            return False
        return True

    def _networks(self, state: State) -> dict[tuple[str, int], tuple[str, ...]]:
        """Return the networks of the countries in use as this host knows them now."""
        names = state.marks.countries if state.marks else {}
        known = known_to(self._store.system)
        return {(country, family): known(country, family) for country in set(names.values()) for family in FAMILIES}

    def go_over(self) -> None:
        """Bring the rules of now into the kernel. Raises Held, and nothing was done, when others have the gateway."""
        with self._store.lock(PATIENCE):
            state, choices = self._store.staged(_SECTIONS), self._store.kept.choices.read()
            now, known = self._store.system.now(), self._networks(state)
            old = as_of(state, choices, self._at, _recalled({**known, **self._known}))
            new = as_of(state, choices, now, _recalled(known))
            done = self._bring(new)
            move_flows(self._store.system, old, new)
            if self._store.transaction() is None:
                for section in reversed(_SECTIONS):
                    RECONCILERS[section].apply(self._store.system, removals(done[section]))
            self._at, self._known = now, known
            self._keep(now)
        for section, changes in done.items():
            if changes:
                reason = audit.Reason("agent", "the hour, or a country's networks, changed")
                audit.record(self._store.system, audit.Entry(reason, section, changes, states=(state,)), now)
        log.info("the rules of this hour are in force: %d changes", sum(map(len, done.values())))

    def _keep(self, now: float) -> None:
        moment.keep(self._store.system, now)
        self._kept = True

    def _bring(self, state: State) -> dict[str, tuple[Change, ...]]:
        """Make the additions of each section; return all of its changes."""
        done = {}
        for section in _SECTIONS:
            done[section] = RECONCILERS[section].changes(self._store.system, state)
            RECONCILERS[section].apply(self._store.system, additions(done[section]))
        return done


def _recalled(known: dict[tuple[str, int], tuple[str, ...]]) -> Networks:
    return lambda country, family: known[country, family]
