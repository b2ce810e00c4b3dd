# SPDX-License-Identifier: GPL-3.0-or-later
"""The promise of retention: an answered address is in its sets for `retention` seconds, and gone after twice that.

How the daemon calls it, all but `record` in the worker and under the gateway's lock, with System.now() as `now`:

1. At start, and after each new generation: ``names = Names(state.dns.lines, local_names(system))``.
2. At start, after the sets were brought in and before wg0 is up: ``refill``. Then ``answers.bind(interface)``,
   and the lists' names are warmed up (warm.py), whose answers are noted as those to clients are.
3. Several times a second: ``record(journal, names, answers.read(), now)``; it only writes to memory.
4. Every 5 s: ``answers.bind(interface)`` (wg0 may be another one) and ``refresh``.
5. When a fingerprint says that sets are not as they were: ``refill(…, only=those sets)``, after the sets were healed.
6. After each new generation, and every minute or so in which a set has changed (healing/loop.py): ``refill`` of all.
   It also takes addresses out of the sets that their names are on no longer, and keeps those that the kernel has and
   the journal does not know.
7. When a refill or a refresh has changed something: ``end_flows(…, its addresses)``.

With a dead agent nothing is refreshed: an ipset's addresses are refreshed by dnsmasq itself, an nftables set's live
for twice the retention from when they were added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ...reconcile import flows, sets
from ...reconcile.base import ReconcileError
from ...reconcile.sets.model import OWNED
from ...state import State
from ...system import System, SystemFailure
from .journal import Journal, Key, Pair

if TYPE_CHECKING:  # a run refills, too, on hosts that do not have dnspython yet
    from .answers import Answer

HOSTS = Path("/etc/hosts")

Added = dict[str, dict[str, int]]
"""Set → address → the seconds that it is to stay."""


class Names:
    """Which sets a name's addresses belong to, by dnsmasq's rule: of all lines the one with the longest suffix."""

    def __init__(self, lines: Iterable[str], local: Collection[str] = frozenset()) -> None:
        """`lines`: the complete ipset= and nftset= lines of dnsmasq; `local`: names that it answers by itself."""
        self.local = local
        shared: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._sets: dict[str, tuple[str, ...]] = {}
        for line in lines:
            _option, *domains, targets = line.split("/")
            found = tuple(target.rpartition("#")[2] for target in targets.split(","))
            for domain in domains:
                # Of two lines for one domain dnsmasq obeys the first.
                self._sets.setdefault(domain.lower(), shared.setdefault(found, found))

    @property
    def domains(self) -> Collection[str]:
        """The domains of the lines, in their order."""
        return self._sets.keys()

    def look_up(self, name: str) -> tuple[str, ...]:
        """Return the sets of a name (lower case, no dot at the end), none when it is not listed."""
        if name in self.local:
            return ()
        while name:
            if name in self._sets:
                return self._sets[name]
            name = name.partition(".")[2]
        return ()

    def sets_of(self, name: str, address: str) -> tuple[str, ...]:
        """Return the sets that an address belongs to for a name."""
        family = "6" if ":" in address else "4"
        return tuple(item for item in self.look_up(name) if OWNED.fullmatch(item) and item[2] == family)


def local_names(system: System) -> frozenset[str]:
    """Return the names in the gateway's /etc/hosts: dnsmasq answers them as such, and puts nothing into sets."""
    lines = (system.read_file(HOSTS) or "").splitlines()
    return frozenset(name.lower() for line in lines for name in line.partition("#")[0].split()[1:])


@dataclass(frozen=True)
class Refilled:
    """What was changed in the kernel's sets."""

    added: dict[str, int] = field(default_factory=dict)  # set → addresses, those that were refreshed among them
    removed: dict[str, int] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()  # those that may have come to a set, or left one
    refused: dict[str, int] = field(default_factory=dict)  # set → addresses for which it had no room


def record(journal: Journal, names: Names, answers: Iterable[Answer], now: float) -> None:
    """Note the answers for listed names."""
    for answer in answers:
        if names.look_up(answer.name):
            journal.note(answer.name, answer.addresses, now)


def granularity(retention: int) -> int:
    """Return the seconds within which a pair that is answered again is not written again."""
    return min(60, retention // 100)


def refresh(system: System, state: State, journal: Journal, names: Names, now: float) -> Refilled:
    """Write down what was answered since the last call; put into the sets what is new, or would leave too early.

    dnsmasq has put a new address there already; it may have failed, and with nftables it refreshes nothing.
    Raises ReconcileError and SystemFailure; what was answered then waits for the next call.
    """
    retention = _retention(state)
    answered = journal.take()
    try:
        known = journal.find(answered)
        rows, asserted = due(answered, known, names, retention)
        added: Added = {}
        for (address, name), held in asserted.items():
            for kernel_set in names.sets_of(name, address):
                added.setdefault(kernel_set, {})[address] = _left(held, retention, now)
        refused = sets.renew(system, state.backend, added, {})
        journal.write(rows, now - 2 * retention)
    except (ReconcileError, SystemFailure):
        journal.give_back(answered)
        raise
    new = frozenset(address for address, name in asserted.keys() - known.keys())
    return Refilled(_counted(added, refused), {}, new, refused)


def due(
    answered: Mapping[Key, int], known: Mapping[Key, Pair], names: Names, retention: int
) -> tuple[list[Pair], dict[Key, int]]:
    """Return the pairs to write, and those to put into their sets with until when; pure."""
    rows: list[Pair] = []
    asserted: dict[Key, int] = {}
    for key, last in answered.items():
        old, belongs = known.get(key), names.sets_of(key[1], key[0])
        earlier = () if old is None else old.sets
        if old is None or old.held < last + retention or not set(belongs) <= set(earlier):
            asserted[key] = last + 2 * retention
            # Sets that it was in before stay named, for the refill to take it out of them.
            rows.append(Pair(*key, last, asserted[key], tuple(dict.fromkeys(belongs + earlier))))
        elif abs(last - old.last) >= granularity(retention):  # a clock that was put back counts, too
            rows.append(Pair(*key, last, old.held, earlier))
    return rows, asserted


def refill(
    system: System,
    state: State,
    journal: Journal,
    names: Names,
    now: float,
    only: Optional[Collection[str]] = None,
) -> Refilled:
    """Give the kernel's learned sets (`only`: of these) what they owe; take out what belongs to them no longer.

    A set that is not there is left to the reconciler. Raises ReconcileError and SystemFailure.
    """
    wanted = {item.name for item in sets.learned(state.sets)}
    found = sets.read_learned(system, state.backend)
    kernel = {
        name: item.remaining() for name, item in found.items() if name in wanted and (only is None or name in only)
    }
    plan = _Plan(kernel, journal.kept(), _retention(state), now)
    for address, pairs in groupby(journal.pairs(), key=lambda pair: pair.address):
        plan.judge(address, list(pairs), names)
    plan.restore_kept()
    refused = sets.renew(system, state.backend, plan.added, plan.removed if only is None else {})
    if only is None:
        journal.write(plan.rows, now - 2 * plan.retention)
        plan.keep(journal)
    removed = {} if only is not None else plan.removed
    return Refilled(
        _counted(plan.added, refused),
        {name: len(addresses) for name, addresses in removed.items()},
        _addresses(plan.added) | _addresses(removed),
        refused,
    )


class _Plan:
    """What a refill does. `kernel` loses each address whose name is known: what is left at the end is unknown."""

    def __init__(self, kernel: Added, kept: dict[Key, int], retention: int, now: float) -> None:
        self.kernel = kernel
        self.kept = kept
        self.retention = retention
        self.now = int(now)
        self.added: Added = {}
        self.removed: dict[str, list[str]] = {}
        self.rows: list[Pair] = []  # of names whose sets are others now
        self.known: set[Key] = set()  # (set, address) that were kept, and whose name is known by now

    def judge(self, address: str, pairs: list[Pair], names: Names) -> None:
        """Take one address with all its names."""
        belongs: dict[str, int] = {}  # set → the last answer
        left: set[str] = set()
        for pair in pairs:
            now_in = names.sets_of(pair.name, address)
            for name in now_in:
                belongs[name] = max(pair.last, belongs.get(name, 0))
            if now_in != pair.sets:
                left.update(pair.sets)
                self.rows.append(Pair(address, pair.name, pair.last, 0, now_in))
        for name, last in belongs.items():
            self._settle(name, address, last)
        for name in left - belongs.keys():
            if self._forget(name, address):
                self.removed.setdefault(name, []).append(address)

    def _settle(self, name: str, address: str, last: int) -> None:
        there = self._forget(name, address)
        # What is stored is up to one granularity too early: the promise is kept from the true time on.
        owed = last + self.retention + granularity(self.retention) > self.now
        if name in self.kernel and owed and not there:
            left = _left(last + 2 * self.retention, self.retention, self.now)
            self.added.setdefault(name, {})[address] = left

    def _forget(self, name: str, address: str) -> bool:
        """Strike an address whose name is known; return whether the kernel had it in the set."""
        if (name, address) in self.kept:
            self.known.add((name, address))
        return self.kernel.get(name, {}).pop(address, None) is not None

    def restore_kept(self) -> None:
        """Add what was kept, has time left, and is not there."""
        for (name, address), until in self.kept.items():
            there = name not in self.kernel or address in self.kernel[name]
            if until > self.now and not there and (name, address) not in self.known:
                self.added.setdefault(name, {})[address] = _left(until, self.retention, self.now)

    def keep(self, journal: Journal) -> None:
        """Keep the addresses that the kernel has and nobody knows the name of."""
        changed = {}
        for name, address, left in self._unknown():
            until = self.now + min(left, 2 * self.retention)
            if abs(until - self.kept.get((name, address), 0)) > granularity(self.retention) + 1:
                changed[name, address] = until
        gone = [key for key, until in self.kept.items() if until <= self.now or key in self.known]
        journal.keep(changed, [key for key in gone if key not in changed])

    def _unknown(self) -> Iterator[tuple[str, str, int]]:
        for name, addresses in self.kernel.items():
            for address, left in addresses.items():
                yield name, address, left


def end_flows(system: System, state: State, addresses: Collection[str]) -> int:
    """End the clients' flows to these addresses that go another way than the rules say now; return how many.

    `state` is the generation with the choices. Raises ReconcileError and SystemFailure.
    """
    if not addresses or state.marks is None:
        return 0
    concerned = [flow for flow in flows.read(system, state.marks) if flow.destination in addresses]
    if not concerned:
        return 0
    learned = sets.members(system, state.backend)
    changes = flows.strays(state.marks, state.sets, learned, concerned)
    flows.apply(system, changes)
    return len(changes)


def _retention(state: State) -> int:
    if state.agent is None:
        raise ReconcileError("the published generation has no agent: run site.yml again")
    return state.agent.retention


def _left(until: int, retention: int, now: float) -> int:
    """Return the seconds until a time, at least one, at most the longest promise (the clock may have been put back)."""
    return max(1, min(until - int(now), 2 * retention))


def _counted(added: Added, refused: Mapping[str, int]) -> dict[str, int]:
    counts = {name: len(addresses) - refused.get(name, 0) for name, addresses in added.items()}
    return {name: count for name, count in counts.items() if count}


def _addresses(changes: Mapping[str, Iterable[str]]) -> frozenset[str]:
    return frozenset(address for addresses in changes.values() for address in addresses)
