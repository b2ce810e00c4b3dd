# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as a graph: crowds of clients, gateways or regions of them, policies, and ways out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .fleet import ATTENTION, BAD, BLOCK, DIRECT, GOOD, IDLE, Gateway

EACH_GATEWAY = 14  # gateways that are drawn one by one; of more, each region is one place
REGIONS = 6
POLICIES = 12
WAYS = 14
"""The most places of one kind; the smaller ones beyond share one."""

ALL, ELSEWHERE = "all gateways", "no region"


@dataclass(frozen=True)
class Place:
    """One gateway, or those of one region."""

    name: str
    gateways: tuple[Gateway, ...]

    @property
    def clients(self) -> int:
        return sum(len(one.clients) for one in self.gateways)

    @property
    def connected(self) -> int:
        return sum(client.connected for one in self.gateways for client in one.clients)


@dataclass(frozen=True)
class Way:
    """One egress, over all gateways."""

    name: str
    moved: int  # bytes
    there: int = 0  # gateways that have it as an upstream
    up: int = 0  # of them, those where it is up
    down: int = 0

    @property
    def tone(self) -> str:
        if not self.there:
            return IDLE
        return GOOD if not self.down else BAD if self.down == self.there else ATTENTION


@dataclass(frozen=True)
class Graph:
    """Who leads where."""

    places: tuple[Place, ...]
    policies: Mapping[str, int]  # policy → clients, the most first
    ways: tuple[Way, ...]
    chosen: Mapping[tuple[str, str], int]  # place, policy → clients
    led: Mapping[tuple[str, str], int]  # policy, way → bytes; 0 where a rule leads there and nothing has been sent


def graph_of(fleet: Sequence[Gateway]) -> Graph:
    """Return the graph of a fleet."""
    places = _places(fleet)
    policies = _largest(Counter(client.policy for one in fleet for client in one.clients), POLICIES, "policies")
    moved, led = _ways(fleet)
    ways = _largest(moved, WAYS, "ways")
    chosen = Counter(
        (place.name, policies[client.policy]) for place in places for one in place.gateways for client in one.clients
    )
    joined: Counter[tuple[str, str]] = Counter()
    for (policy, way), count in led.items():
        if policy in policies:
            joined[policies[policy], ways[way]] += count
    sizes: Counter[str] = Counter()
    for (_, policy), count in chosen.items():
        sizes[policy] += count
    return Graph(places, dict(sizes.most_common()), _way_places(fleet, moved, ways), chosen, joined)


def _places(fleet: Sequence[Gateway]) -> tuple[Place, ...]:
    if len(fleet) <= EACH_GATEWAY:
        return tuple(Place(one.name, (one,)) for one in fleet)
    found: dict[str, list[Gateway]] = {}
    for one in fleet:
        found.setdefault(one.region, []).append(one)
    if len(found) == 1:
        return (Place(next(iter(found)) or ALL, tuple(fleet)),)
    joined = _largest(Counter({region: len(members) for region, members in found.items()}), REGIONS, "regions")
    places: dict[str, list[Gateway]] = {}
    for region in sorted(found, key=lambda region: (not region, region)):
        places.setdefault(joined[region] or ELSEWHERE, []).extend(found[region])
    return tuple(Place(name, tuple(members)) for name, members in places.items())


def _ways(fleet: Sequence[Gateway]) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Return the bytes by way, and by policy and way: also of those that only a rule names, or that nothing uses."""
    moved: Counter[str] = Counter()
    led: Counter[tuple[str, str]] = Counter()
    for one in fleet:
        for upstream in one.agent.get("upstreams", ()):
            moved[upstream["name"]] += 0
        for policy, ways in one.policies.items():
            for way in ways:
                moved[way] += 0
                led[policy, way] += 0
        for client in one.clients:
            for way, count in client.moved.items():
                moved[way] += count
                led[client.policy, way] += count
    return moved, led


def _way_places(fleet: Sequence[Gateway], moved: Mapping[str, int], joined: Mapping[str, str]) -> tuple[Way, ...]:
    there: Counter[str] = Counter()
    states: Counter[tuple[str, str]] = Counter()
    for one in fleet:
        for upstream in one.agent.get("upstreams", ()):
            name = joined[upstream["name"]]
            there[name] += 1
            states[name, upstream["state"]] += 1
    sums: Counter[str] = Counter()
    for way, count in moved.items():
        sums[joined[way]] += count
    # Upstreams first, the busiest before the others; then what is no tunnel.
    names = sorted(sums, key=lambda name: ({DIRECT: 1, BLOCK: 2}.get(name, 0), -sums[name], name))
    return tuple(Way(name, sums[name], there[name], states[name, "up"], states[name, "down"]) for name in names)


def _largest(sizes: Counter[str], most: int, words: str) -> dict[str, str]:
    """Return what each name is called in the map: itself, or one name for all but the largest."""
    names = sorted(sizes, key=lambda name: (-sizes[name], name))
    if len(names) <= most:
        return {name: name for name in names}
    rest = f"{len(names) - most + 1} other {words}"
    return {name: name if index < most - 1 else rest for index, name in enumerate(names)}
