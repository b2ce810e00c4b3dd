# SPDX-License-Identifier: GPL-3.0-or-later
"""Established flows after a change of policies, lists or clients: exactly those that must move are deleted.

A flow keeps the egress of its first packet in its conntrack mark. Here each flow of a client is judged by the
old and by the new rules with the addresses that are learned *now*. So the expiry of an entry, in the kernel or
between two runs, never moves a flow; a change of the rules does. A flow whose egress is no more ends in any case:
the next egress with its number must not inherit it. What is deleted begins anew by its next packet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Callable, Optional

from ...compiler.verdict import decide, holder
from ...state import AddressSet, Marks, classified_bit, mark_of
from ...system import System
from ..base import REMOVE, Change
from . import conntrack
from .conntrack import Flow

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
    With no old rules (None) a flow must have the mark of its new verdict. With no new ones nothing
    is judged: no packet is classified any more.
    """
    if new is None:
        return ()
    before, after = judge_by(old, old_sets, learned), judge_by(new, new_sets, learned)
    masks = [marks.mask for marks in (old, new) if marks is not None]
    ways = {mark_of(egress.number, new.mask) for egress in new.egresses}
    return tuple(_changes(before, after, masks, ways, flows))


def _changes(before: Judge, after: Judge, masks: list[int], ways: set[int], flows: Iterable[Flow]) -> Iterator[Change]:
    for flow in flows:
        if not any(flow.mark & classified_bit(mask) for mask in masks):
            continue
        was, now, mark = before(flow), after(flow), flow.mark & masks[-1]
        if now != mark and (was != now or (now is not None and mark not in ways)):
            yield Change(REMOVE, str(flow), f"mark {flow.mark:#x}", "", flow)


def judge_by(marks: Optional[Marks], sets: Iterable[AddressSet], learned: Learned) -> Judge:
    """Return how the rules judge flows; each pair of policy and destination is decided once."""
    if marks is None:
        return lambda _: None
    static = {item.name: item.members for item in sets if item.timeout is None}
    holds = holder({**static, **marks.networks}, learned)
    policies = {version: {policy.number: policy for policy in marks.family(version).policies} for version in (4, 6)}
    known: dict[tuple[int, int, str], int] = {}

    def judge(flow: Flow) -> Optional[int]:
        family = marks.family(flow.family)
        policy = policies[flow.family].get(family.clients.get(flow.source, 0))
        if policy is None:
            return None
        key = (flow.family, policy.number, flow.destination)
        if key not in known:
            known[key] = mark_of(decide(family, policy, flow.destination, holds), marks.mask)
        return known[key]

    return judge


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Delete the flows of these changes. Raises SystemFailure."""
    if changes:
        conntrack.delete(system, (change.payload for change in changes))
