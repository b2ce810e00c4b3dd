# SPDX-License-Identifier: GPL-3.0-or-later
"""Goes over from some choices to others: the file that every run honours, the chains and tables, then the flows.

Only what the choices themselves change is brought into the kernel, by the reconcilers: everything else is for
healing, or for the run of site.yml that may have the gateway at this moment. Such a run keeps the lock for one step
at a time; what it has staged is what the kernel has, its removals wait for its commit, and each of its later steps
reads the choices anew. So a failover does not wait until it ends, and takes nothing away that it still needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ...choices import Choices
from ...failures import FAILURES
from ...present import as_of, known_to
from ...reconcile import flows
from ...reconcile.base import Change
from ...state import Egress, State, Way, number_field
from ...store import Store
from ..differing import bring

_SECTIONS = ("routes", "marks", "dns")

PATIENCE = 2.0  # seconds for a step of a run to end: it may be the one that waits until the agent has ended


@dataclass(frozen=True)
class Switched:
    """What a switch did."""

    before: Mapping[int, Egress] = field(default_factory=dict)
    after: Mapping[int, Egress] = field(default_factory=dict)
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)  # section → what was changed
    ended: Mapping[int, int] = field(default_factory=dict)  # number → its flows that were deleted

    def words(self, number: int) -> str:
        """Return what became of an egress, in words for people."""
        if number not in self.after:
            return "not in use"
        old, new = self.before[number], self.after[number]
        numbers = {number, *(way.number for way in (*old.ways, *new.ways))}
        count = sum(self.ended.get(entry, 0) for entry in numbers)
        was = self._ways(old)
        now = self._ways(new)
        text = f"{now}, was {was}" if was != now else now
        return f"{text}; {count} flows ended" if count else text

    def _ways(self, egress: Egress) -> str:
        if egress.direct:
            return "direct"
        if not egress.interface and egress.ways == (Way(egress.number),):
            return "blocked"
        return " and ".join(self.after[way.number].name for way in egress.ways)


def switch(store: Store, before: Choices, after: Choices, dead: Collection[int]) -> Switched:
    """Have new flows go the ways of `after`, and end the flows that must move; return what that changed.

    `dead`: the numbers whose upstream is down. Their flows end, once nothing leads there any more; so do those of an
    egress that goes directly from now on, or no longer. All others stay where they are: going back to a better
    member breaks nobody's connection. Every part is tried; the first failure is raised when all have been. Raises
    Held, and nothing was done, when somebody else has the gateway for longer than PATIENCE.
    """
    with store.lock(PATIENCE):
        store.kept.choices.write(after)
        state = store.staged(_SECTIONS)
        if state.marks is None:
            return Switched()
        now, known = store.system.now(), known_to(store.system)
        old, new = (as_of(state, choices, now, known) for choices in (before, after))
        failures: list[Exception] = []
        changes = bring(store, _SECTIONS, state, old, new, failures)
        ended: Counter[int] = Counter()
        try:
            ended = _end(store, _leaving(old, new, dead), state.marks.mask)
        except FAILURES as error:
            failures.append(error)
        if failures:
            raise failures[0]
        return Switched(_egresses(old), _egresses(new), changes, ended)


def _leaving(old: State, new: State, dead: Collection[int]) -> frozenset[int]:
    """Return the numbers whose flows end."""
    before, after = _egresses(old), _egresses(new)
    used = {way.number for egress in after.values() for way in egress.ways}
    turned = {number for number, egress in after.items() if egress.direct != before[number].direct}
    return frozenset(dead) - used | turned


def _egresses(state: State) -> dict[int, Egress]:
    return {egress.number: egress for egress in state.marks.egresses} if state.marks else {}


def _end(store: Store, numbers: Collection[int], mask: int) -> Counter[int]:
    """Delete the flows of these numbers, both families; return how many of each there were."""
    found = flows.on(store.system, numbers, mask)
    flows.apply(store.system, found)
    shift, classified = number_field(mask)
    return Counter((change.payload.mark & mask) >> shift & ~classified for change in found)
