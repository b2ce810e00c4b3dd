# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets a place at which gateway: deferred acceptance (Gale and Shapley, 1962), then room for who is left.

A client asks the gateways in the order of its preference until it has as many places as it wants. A gateway keeps the
best of those that asked and sends the others on. Preferences are strict, so that the outcome does not depend on who
asks first. A gateway prefers clients that are bound to a region, for which fewer gateways are left, then higher scores.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from .model import Gateway, Member
from .scores import preference, score

Rank = tuple[int, float, str]
"""A client at a gateway: the lowest leaves first."""

_PINNED, _REGION, _ANYWHERE = 2, 1, 0


@dataclass
class Seating:
    """Who is where while a plan is made."""

    gateways: Mapping[str, Gateway]
    members: Mapping[str, Member]
    limits: Mapping[str, int]  # places of each gateway
    choices: Mapping[str, Sequence[Gateway]]  # the gateways that each client may be on
    held: dict[str, list[str]] = field(default_factory=dict)  # gateways by client, in the order of their priority
    seated: dict[str, set[str]] = field(default_factory=dict)  # clients by gateway
    settled: dict[str, frozenset[str]] = field(default_factory=dict)  # clients by gateway that nobody makes move
    closed: set[str] = field(default_factory=set)  # full, and so is all that their clients could change to

    def sit(self, client: str, gateway: str) -> None:
        self.held[client].append(gateway)
        self.seated[gateway].add(client)

    def leave(self, client: str, gateway: str) -> None:
        self.held[client].remove(gateway)
        self.seated[gateway].remove(client)

    def rank(self, client: str, gateway: str) -> Rank:
        member = self.members[client]
        bound = _PINNED if member.gateway == gateway else _ANYWHERE if member.region is None else _REGION
        return bound, score(client, self.gateways[gateway]), client

    def missing(self, client: str) -> int:
        """Return how many places a client still wants."""
        return self.members[client].places - len(self.held[client])

    def preference(self, client: str) -> list[str]:
        """Return where a client may still go, the best first."""
        own = set(self.held[client])
        return preference(client, [gateway for gateway in self.choices[client] if gateway.name not in own])


def seat(seating: Seating) -> None:
    """Give all clients that want places those of deferred acceptance; who has a place keeps it."""
    waiting = deque(sorted(client for client in seating.members if seating.missing(client) > 0))
    asking = {client: iter(seating.preference(client)) for client in waiting}
    free = {name: limit - len(seating.seated[name]) for name, limit in seating.limits.items()}
    taken: dict[str, list[Rank]] = {name: [] for name in free}
    while waiting:
        client = waiting.popleft()
        while seating.missing(client) > 0:
            gateway = next(asking[client], None)
            if gateway is None:
                break  # no gateway has room for it
            if free[gateway] <= 0:
                continue
            seating.sit(client, gateway)
            heapq.heappush(taken[gateway], seating.rank(client, gateway))
            if len(taken[gateway]) > free[gateway]:
                _, _, last = heapq.heappop(taken[gateway])
                seating.leave(last, gateway)
                if last != client:
                    waiting.append(last)


def make_room(seating: Seating, client: str) -> None:
    """Give a client one more place by the shortest chain of moves, if there is one.

    Only those move who have just been given their places: to make room for a client of a region that is full of
    clients that could be elsewhere, too.
    """
    origin: dict[str, tuple[Optional[str], str]] = {}  # gateway: who would come, from which
    reached = deque(_reach(seating, client, None, origin))
    while reached:
        gateway = reached.popleft()
        if len(seating.seated[gateway]) < seating.limits[gateway]:
            _move(seating, gateway, origin)
            return
        if len(origin) < len(seating.gateways):
            others = seating.seated[gateway] - seating.settled[gateway]
            for other in sorted(others, key=lambda name: seating.rank(name, gateway)):
                reached += _reach(seating, other, gateway, origin)
    seating.closed.update(origin)  # no later chain leads out of these, either


def _reach(
    seating: Seating, client: str, leaving: Optional[str], origin: dict[str, tuple[Optional[str], str]]
) -> list[str]:
    """Return the gateways to which a client could change that nobody before could, and note it as who would come."""
    unseen = [
        gateway
        for gateway in seating.choices[client]
        if gateway.name not in origin
        and gateway.name not in seating.closed
        and gateway.name not in seating.held[client]
    ]
    found = preference(client, unseen)
    origin.update((gateway, (leaving, client)) for gateway in found)
    return found


def _move(seating: Seating, gateway: str, origin: Mapping[str, tuple[Optional[str], str]]) -> None:
    """Move everybody along a chain, from its free end."""
    target: Optional[str] = gateway
    while target is not None:
        leaving, client = origin[target]
        if leaving is not None:
            seating.leave(client, leaving)
        seating.sit(client, target)
        target = leaving
