# SPDX-License-Identifier: GPL-3.0-or-later
"""Egresses that leave the agent a choice: groups, and upstreams with another way when they are down.

What is disabled is not down but off: it is nobody's member and nobody's fallback, whatever its own `on_down` says,
and what leads to it stays blocked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Optional, Union

from ..state import Group, Member, Way
from ..topology import model
from ..topology.numbering import member_name

EGRESS = "egress"
ITSELF = "failover"  # the mode of an upstream as a group of itself: there is nothing to choose among


@dataclass(frozen=True)
class Switchboard:
    """The groups of the agent that are used, by name, and all egresses that packets can get to."""

    groups: Mapping[str, Group]
    used: frozenset[str]  # names of upstreams and groups, `direct` and `block` among them

    def by_number(self) -> dict[int, Group]:
        return {group.number: group for group in self.groups.values()}


def compile_groups(topology: model.Topology, numbers: Mapping[str, int], used: Iterable[str]) -> Switchboard:
    """Return the groups among the egresses that rules lead to, and those that `on_down` leads on to."""
    enabled = frozenset(upstream.name for upstream in topology.upstreams if upstream.enabled)
    known: dict[str, Union[model.Upstream, model.Group]] = {
        **{upstream.name: upstream for upstream in topology.upstreams},
        **{group.name: group for group in topology.groups},
    }
    members = {name: _members(entry, numbers, enabled) for name, entry in known.items()}
    groups: dict[str, Group] = {}
    reached = set(used)
    todo = sorted(reached & known.keys(), key=numbers.__getitem__)
    while todo:
        entry = known[todo.pop(0)]
        on_down, fallback = _fallback(entry.on_down, members, numbers)
        if not members[entry.name] or (isinstance(entry, model.Upstream) and on_down == model.BLOCK):
            continue
        groups[entry.name] = _group(entry, numbers[entry.name], members[entry.name], on_down, fallback)
        if fallback is not None and entry.on_down not in reached:
            reached.add(entry.on_down)
            todo.append(entry.on_down)
    ordered = sorted(groups.values(), key=lambda group: group.number)
    return Switchboard({group.name: group for group in ordered}, frozenset(reached))


def _members(
    entry: Union[model.Upstream, model.Group], numbers: Mapping[str, int], enabled: frozenset[str]
) -> tuple[Member, ...]:
    if isinstance(entry, model.Upstream):
        return (Member(numbers[entry.name], entry.name),) if entry.enabled else ()
    return tuple(
        Member(numbers[member_name(entry.name, member.upstream)], member.upstream, member.weight)
        for member in entry.members
        if member.upstream in enabled
    )


def _fallback(
    on_down: str, members: Mapping[str, tuple[Member, ...]], numbers: Mapping[str, int]
) -> tuple[str, Optional[int]]:
    if on_down in (model.BLOCK, model.DIRECT):
        return on_down, None
    return (EGRESS, numbers[on_down]) if members[on_down] else (model.BLOCK, None)


def _group(
    entry: Union[model.Upstream, model.Group],
    number: int,
    members: tuple[Member, ...],
    on_down: str,
    fallback: Optional[int],
) -> Group:
    if isinstance(entry, model.Upstream):
        return Group(number, entry.name, ITSELF, members, on_down, fallback)
    return Group(number, entry.name, entry.mode, members, on_down, fallback, entry.hold, entry.margin)


def default_ways(group: Group) -> tuple[Way, ...]:
    """Return where new flows go as long as nothing is known of the members' health: all of them are up."""
    members = group.members if group.mode == "balance" else group.members[:1]
    return tuple(Way(member.number, member.weight) for member in members)


def reach(group: Group, groups: Mapping[int, Group]) -> tuple[int, ...]:
    """Return the numbers that flows of a group may get: of its members, and wherever `on_down` leads."""
    numbers = [member.number for member in group.members]
    fallback = group.fallback
    while fallback is not None:
        other = groups.get(fallback)
        numbers.append(fallback)
        numbers += [member.number for member in other.members] if other else []
        fallback = other.fallback if other else None
    return tuple(dict.fromkeys(numbers))
