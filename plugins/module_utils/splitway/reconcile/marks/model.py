# SPDX-License-Identifier: GPL-3.0-or-later
"""What marks.py and its two backends share: a ruleset in plain data, and the mask's arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Union

from ...state import DIRECT, Marks, mark_of, number_field


class Place(NamedTuple):
    """Where a chain is. Built-in chains of iptables are places, too: of them only our jumps count."""

    family: int  # 4 | 6; 0: both (nftables' inet)
    table: str
    chain: str

    def __str__(self) -> str:
        return f"{self.table} {self.chain}" + (f" (v{self.family})" if self.family else "")


class Line(NamedTuple):
    """One rule: what it is compared by, and its text for people (and, if desired, for the tool)."""

    key: str
    text: str


Chains = Mapping[Place, tuple[Line, ...]]


@dataclass(frozen=True)
class Ruleset:
    """What one backend holds of ours, or should hold."""

    chains: Chains = field(default_factory=dict)
    # Family → the lookup from client to policy: its kind, and address → entry as the tool spells it.
    lookups: Mapping[int, str] = field(default_factory=dict)
    clients: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ChainStep:
    """A chain gets these lines; an empty `wanted` removes it, an empty `found` makes it."""

    place: Place
    found: tuple[Line, ...]
    wanted: tuple[Line, ...]


@dataclass(frozen=True)
class LookupStep:
    """The clients' lookup of a family is made (`wanted` is its kind), replaced, or removed (empty)."""

    family: int
    found: str
    wanted: str


@dataclass(frozen=True)
class ClientsStep:
    """Entries of the clients' lookup: address → entry as it is (empty: none), entry wanted (empty: removed)."""

    family: int
    entries: tuple[tuple[str, str, str], ...]


Step = Union[ChainStep, LookupStep, ClientsStep]


def policy_mark(number: int, mask: int) -> int:
    """Return the packet mark that stands for a policy between lookup and dispatch: never classified."""
    return number << number_field(mask)[0]


def direct_mark(mask: int) -> int:
    """Return the mark of what leaves directly."""
    return mark_of(DIRECT, mask)


def egress_numbers(marks: Marks) -> tuple[int, ...]:
    """Return the numbers of all egresses, `direct` among them, that are declared or that a policy or a way names."""
    numbers = {DIRECT, *(egress.number for egress in marks.egresses)}
    numbers.update(way.number for egress in marks.egresses for way in egress.ways)
    for family in (marks.v4, marks.v6):
        for policy in family.policies:
            numbers.add(policy.default)
            numbers.update(rule.egress for rule in (*policy.rules, *policy.special))
    return tuple(sorted(numbers))


def unmasqueraded(marks: Marks) -> tuple[int, ...]:
    """Return the marks of the egresses that keep the clients' addresses; what leaves directly does as `direct` does."""
    direct = next((egress.nat for egress in marks.egresses if egress.number == DIRECT), True)
    kept = (egress.number for egress in marks.egresses if not (direct if egress.direct else egress.nat))
    return tuple(sorted(mark_of(number, marks.mask) for number in kept))


def direct_numbers(marks: Marks) -> tuple[int, ...]:
    """Return the numbers of what leaves directly now: `direct`, and egresses that fell back to it."""
    return (DIRECT, *sorted(egress.number for egress in marks.egresses if egress.direct))
