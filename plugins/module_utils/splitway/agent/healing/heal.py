# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing back what somebody or something changed: by the reconcilers, under the lock, never inside a transaction.

A run of site.yml and a healing therefore cannot disagree: both bring the same state, with the same choices,
by the same code. What fails is reported and tried again at the next look; the other sections go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...failures import FAILURES
from ...present import present
from ...reconcile import wireguard
from ...reconcile.base import Change, additions, removals
from ...reconcile.sections import RECONCILERS
from ...state import SECTIONS, State
from ...store import Held, Store
from ...transaction import end_expired

Refill = Callable[[State], int]
"""Puts what the journal knows into the learned sets that lack it; returns how many addresses."""


PATIENCE = 0.3  # seconds for somebody who only looks

VERDICT = ("routes", "sets", "marks")
"""What decides which way a packet takes: it is there before anything can come in by wg0."""


PICKING = ("transports", "proxies", "web")
"""What takes the port that is free: others depend on it."""


@dataclass(frozen=True)
class Healing:
    """What one look found and did."""

    busy: bool = False  # a run of site.yml has the gateway, or has just changed it: nothing was looked at
    rolled_back: bool = False  # a run had not ended, or not been confirmed, in time
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)  # section → what was brought back
    failures: Mapping[str, str] = field(default_factory=dict)  # section → why not
    refilled: int = 0  # learned addresses that were put back
    seconds: float = 0.0


def heal(store: Store, state: Callable[[], Optional[State]], sections: Collection[str], refill: Refill) -> Healing:
    """Bring these sections back to what they should be; return what that took.

    `state` gives the generation, once nobody else has the gateway; None when that is another by then than the one
    that was looked for. Whoever keeps the gateway is not waited for: it may wait for the agent to end or to start.
    """
    began = time.monotonic()
    try:
        with store.lock(PATIENCE):
            rolled_back = end_expired(store)
            wanted = None if store.transaction() is not None else state()
            if wanted is None:
                return Healing(busy=True, rolled_back=rolled_back)
            healer = _Healer(store, wanted, refill)
            healer.heal(SECTIONS if rolled_back else sections)
    except Held:
        return Healing(busy=True)
    return Healing(
        rolled_back=rolled_back,
        changes={section: changes for section, changes in healer.done.items() if changes},
        failures=healer.failures,
        refilled=healer.refilled,
        seconds=time.monotonic() - began,
    )


class _Healer:
    """One look: additions in the order of the sections, then removals in reverse."""

    def __init__(self, store: Store, state: State, refill: Refill) -> None:
        self.store, self._wanted, self._refill = store, state, refill
        self.state = present(store, state)
        self.done: dict[str, tuple[Change, ...]] = {}
        self.failures: dict[str, str] = {}
        self.refilled = 0

    def heal(self, sections: Collection[str]) -> None:
        removing: dict[str, tuple[Change, ...]] = {}
        for section in (section for section in SECTIONS if section in sections):
            planned = self._plan(section)
            if section == "server" and additions(planned or ()):
                for other in (other for other in VERDICT if other not in sections):
                    self._add(other, self._plan(other), removing)
                missing = [other for other in VERDICT if other not in removing]
                if missing:
                    self.failures[section] = f"wg0 waits for {' and '.join(missing)}"
                    continue
            self._add(section, planned, removing)
            if section in PICKING and self.done.get(section):
                self._follow_ports(sections, removing)
        for section in reversed(SECTIONS):
            if removing.get(section):
                self._apply(section, removing[section])

    def _follow_ports(self, sections: Collection[str], removing: dict[str, tuple[Change, ...]]) -> None:
        """Have what depends on a port that moved, and is not looked at anyway, follow."""
        before, self.state = self.state, present(self.store, self._wanted)
        for other in (other for other in SECTIONS if other not in sections):
            if getattr(before, other) != getattr(self.state, other):
                self._add(other, self._plan(other), removing)

    def _plan(self, section: str) -> Optional[tuple[Change, ...]]:
        """Return what must change, None when that is not to be known."""
        try:
            return tuple(
                change
                for change in RECONCILERS[section].changes(self.store.system, self.state)
                if not (section == "upstreams" and wireguard.moves_endpoint(change))
            )
        except FAILURES as error:
            self.failures[section] = str(error)
            return None

    def _add(
        self, section: str, planned: Optional[tuple[Change, ...]], removing: dict[str, tuple[Change, ...]]
    ) -> None:
        """Apply a section's additions; when that worked, its removals are to follow."""
        if planned is None or not self._apply(section, additions(planned)):
            return
        removing[section] = removals(planned)
        if section == "sets":
            self._refill_sets()

    def _apply(self, section: str, changes: tuple[Change, ...]) -> bool:
        try:
            RECONCILERS[section].apply(self.store.system, changes)
        except FAILURES as error:
            self.failures[section] = str(error)
            return False
        self.done[section] = self.done.get(section, ()) + changes
        return True

    def _refill_sets(self) -> None:
        try:
            self.refilled = self._refill(self.state)
        except FAILURES as error:
            self.failures["sets"] = str(error)
