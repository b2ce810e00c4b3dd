# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ways the egresses that have a choice take now: decided from the health of upstreams, and from what was before.

Pure; times are the caller's clock (time.monotonic(), seconds), the same that health uses. Who of a group is in use,
and for how long, is said in members.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...choices import Choice, Choices
from ...state import Group, Way
from .health import DOWN, Health
from .members import Standing, stand, usable

Memory = Mapping[int, Standing]
"""Group's number → its standing. A group that is not in it begins with the ways that the compiler gave it."""


def remember(groups: Sequence[Group], choices: Choices) -> dict[int, Standing]:
    """Return the memory of an agent that starts where the last one left these choices."""
    memory = {}
    for group in groups:
        choice = choices.get(group.number)
        if choice is not None:
            numbers = {way.number for way in choice.ways} if not choice.direct else set()
            used = (member.number for member in group.members if member.number in numbers)
            memory[group.number] = Standing(tuple(used))
    return memory


def choose(
    groups: Sequence[Group],
    upstreams: Mapping[str, Health],
    memory: Memory,
    now: float,
    plain: Mapping[int, str],
) -> tuple[dict[int, Choice], dict[int, Standing]]:
    """Return the choice of each group, and the memory for the next time.

    `upstreams`: the health of every upstream that is watched. `plain`: number → name of the upstreams that are an
    egress without being a group.
    """
    by_number = {group.number: group for group in groups}
    standings = {
        group.number: stand(
            group,
            usable(group, upstreams),
            memory.get(group.number),
            now,
            _relieved(group, by_number, upstreams, plain),
        )
        for group in groups
    }
    return {group.number: _choice(group, by_number, standings) for group in groups}, standings


def dead(groups: Sequence[Group], upstreams: Mapping[str, Health]) -> frozenset[int]:
    """Return the numbers of members whose upstream is down: flows with them go nowhere."""
    down = {name for name, health in upstreams.items() if health.state == DOWN}
    return frozenset(member.number for group in groups for member in group.members if member.upstream in down)


def _choice(group: Group, groups: Mapping[int, Group], standings: Memory) -> Choice:
    direct = group.on_down == "direct" and not standings[group.number].members
    return Choice(_ways(group.number, groups, standings, frozenset()), direct)


def _ways(number: int, groups: Mapping[int, Group], standings: Memory, seen: frozenset[int]) -> tuple[Way, ...]:
    group = groups.get(number)
    if group is None or number in seen:  # a plain upstream, or a circle in which nothing is up
        return (Way(number),)
    used = standings[number].members
    if not used and group.on_down == "egress" and group.fallback is not None:
        return _ways(group.fallback, groups, standings, seen | {number})
    weights = {member.number: member.weight if group.mode == "balance" else 1 for member in group.members}
    return tuple(Way(member, weights[member]) for member in used) or (Way(number),)


def _relieved(
    group: Group, groups: Mapping[int, Group], upstreams: Mapping[str, Health], plain: Mapping[int, str]
) -> bool:
    """Return whether another egress that moves data carries the traffic while no member is up."""
    seen = {group.number}
    while group.on_down == "egress" and group.fallback is not None and group.fallback not in seen:
        number = group.fallback
        seen.add(number)
        if number not in groups:
            health = upstreams.get(plain.get(number, ""))
            return health is None or health.state != DOWN
        group = groups[number]
        if group.on_down == "direct" or usable(group, upstreams):
            return True
    return False
