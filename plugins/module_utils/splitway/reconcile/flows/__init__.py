# SPDX-License-Identifier: GPL-3.0-or-later
"""Established flows after a change of policies, lists or clients: exactly those that must move are deleted.

A flow keeps the egress of its first packet in its conntrack mark. Here each flow of a client is judged by the
old and by the new rules with the addresses that are learned *now*. So the expiry of an entry, in the kernel or
between two runs, never moves a flow; a change of the rules does. A flow whose egress is no more ends in any case:
the next egress with its number must not inherit it. What is deleted begins anew by its next packet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Callable, Optional

from ...services import Service
from ...state import AddressSet, MarkPolicy, Marks, classified_bit, mark_of
from ...system import System
from ...verdict import decide, holder
from ..base import REMOVE, Change
from . import conntrack
from .conntrack import Flow
from .sources import policies_of_sources

Learned = Mapping[str, Collection[str]]
Judge = Callable[[Flow], Optional[int]]
"""What the rules of one generation say of a flow: its mark, None when its source is no client."""


def read(system: System, marks: Optional[Marks] = None) -> tuple[Flow, ...]:
    """Return the flows of the kernel; with `marks` only the classified ones. Raises SystemFailure."""
    bit = 0 if marks is None else classified_bit(marks.mask)
    return conntrack.dump(system, bit, bit)


def plan(
    old: Optional[Marks],
    old_sets: Iterable[AddressSet],
    new: Optional[Marks],
    new_sets: Iterable[AddressSet],
    learned: Learned,
    flows: Iterable[Flow],
) -> tuple[Change, ...]:
    """Return a removal for each classified flow of a client whose verdict has changed, or whose egress is gone.

    `learned`: addresses by set name as they are now, the old sets' included, where they still are.
    A flow stays on its member of a group, whichever member new flows go to. With no old rules (None) a flow must
    have a mark that its new verdict gives now. With no new ones nothing is judged: no packet is classified any more.
    """
    if new is None:
        return ()
    before, after = judge_by(old, old_sets, learned, new), judge_by(new, new_sets, learned, old)
    masks = [marks.mask for marks in (old, new) if marks is not None]
    return tuple(_changes(before, after, masks, None if old is None else _reach(old), _reach(new), flows))


@dataclass(frozen=True)
class _Marks:
    """The marks that flows of one generation may have, by the mark of their egress."""

    now: Mapping[int, frozenset[int]]  # what its new flows get
    ever: Mapping[int, frozenset[int]]  # what they may have got by any choice


def _reach(marks: Marks) -> _Marks:
    def masked(numbers: Iterable[int]) -> frozenset[int]:
        return frozenset(mark_of(number, marks.mask) for number in numbers)

    now, ever = {}, {}
    for egress in marks.egresses:
        mark = mark_of(egress.number, marks.mask)
        now[mark] = masked(way.number for way in egress.ways) or frozenset((mark,))
        ever[mark] = now[mark] | masked((egress.number, *egress.may_use))
    return _Marks(now, ever)


def _changes(
    before: Judge, after: Judge, masks: list[int], old: Optional[_Marks], new: _Marks, flows: Iterable[Flow]
) -> Iterator[Change]:
    for flow in flows:
        if any(flow.mark & classified_bit(mask) for mask in masks):
            was, now, mark = before(flow), after(flow), flow.mark & masks[-1]
            if now is None:
                ends = was is not None
            elif was != now:
                ends = mark not in new.now.get(now, (now,))
            else:
                # Its verdict is the same, and it stays where it is: another member may have been chosen meanwhile, or
                # its address may have expired. Unless its egress is no more, or is none of its verdict's any more.
                lost = old is not None and mark in old.ever.get(now, ())
                ends = mark not in new.ever.get(now, (now,)) and (lost or mark not in new.now)
            if ends:
                yield Change(REMOVE, str(flow), f"mark {flow.mark:#x}", "", flow)


def strays(marks: Marks, sets: Iterable[AddressSet], learned: Learned, flows: Iterable[Flow]) -> tuple[Change, ...]:
    """Return a removal for each flow of a client that is on a way which the rules, with any choice, do not give it.

    Which rule it began by is not known: where a group's fallback is another rule's way as well, a flow is there by
    right only while new flows of the group are sent there.
    """
    judge, reach = judge_by(marks, sets, learned), _reach(marks)
    users = Counter(way for mark in _named(marks) for way in reach.ever.get(mark, ()))
    stays = {mark: reach.now[mark] | {way for way in ways if users[way] == 1} for mark, ways in reach.ever.items()}
    verdicts = ((flow, judge(flow)) for flow in flows if flow.mark & classified_bit(marks.mask))
    return tuple(
        Change(REMOVE, str(flow), f"mark {flow.mark:#x}", "", flow)
        for flow, verdict in verdicts
        if verdict is not None and flow.mark & marks.mask not in stays.get(verdict, (verdict,))
    )


def _named(marks: Marks) -> frozenset[int]:
    """Return the marks of the egresses that rules and defaults name; a group's member is none."""
    policies = (*marks.v4.policies, *marks.v6.policies)
    rules = {rule.egress for policy in policies for rule in (*policy.rules, *policy.special)}
    return frozenset(mark_of(number, marks.mask) for number in rules.union(policy.default for policy in policies))


def judge_by(
    marks: Optional[Marks], sets: Iterable[AddressSet], learned: Learned, others: Optional[Marks] = None
) -> Judge:
    """Return how the rules judge flows; what goes to one place by one policy is decided once.

    `others`: rules of another generation, whose clients are not the gateway itself.
    """
    if marks is None:
        return lambda _: None
    static = {item.name: item.members for item in sets if item.timeout is None}
    holds = holder({**static, **marks.networks}, learned)
    policies = {version: {policy.number: policy for policy in marks.family(version).policies} for version in (4, 6)}
    policies_of, ever = policies_of_sources(marks, others), _reach(marks).ever
    known: dict[tuple[int, int, str, Service], int] = {}

    def by(policy: MarkPolicy, flow: Flow) -> int:
        service = Service(flow.protocol, flow.destination_port)
        key = (flow.family, policy.number, flow.destination, service)
        if key not in known:
            family = marks.family(flow.family)
            known[key] = mark_of(decide(family, policy, flow.destination, holds, service), marks.mask)
        return known[key]

    def judge(flow: Flow) -> Optional[int]:
        numbers = policies_of(flow.family, flow.source)
        found = [by(policies[flow.family][number], flow) for number in numbers if number in policies[flow.family]]
        # Of the gateway's own, whose policy is not known, it is there by right if by any of them.
        right = (mark for mark in found if flow.mark & marks.mask in ever.get(mark, (mark,)))
        return next(right, found[0] if found else None)

    return judge


def on(system: System, numbers: Iterable[int], mask: int) -> tuple[Change, ...]:
    """Return a removal for each flow that has the mark of one of these egress numbers. Raises SystemFailure."""
    found = (flow for number in numbers for flow in conntrack.dump(system, mark_of(number, mask), mask))
    return tuple(Change(REMOVE, str(flow), f"mark {flow.mark:#x}", "", flow) for flow in found)


def of_addresses(system: System, addresses: Collection[str]) -> tuple[Change, ...]:
    """Return a removal for each flow that one of these addresses began, or that leads to it. Raises SystemFailure."""
    found = (flow for flow in conntrack.dump(system) if flow.source in addresses or flow.destination in addresses)
    return tuple(Change(REMOVE, str(flow), f"mark {flow.mark:#x}", "", flow) for flow in found)


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Delete the flows of these changes. Raises SystemFailure."""
    if changes:
        conntrack.delete(system, (change.payload for change in changes))
