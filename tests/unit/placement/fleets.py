# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets for tests, and an independent judgement of what is possible in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_interface

from hypothesis import strategies as st

from splitway.placement import Gateway, Member, Place, Placement

Fleet = tuple[list[Member], list[Gateway]]
REGIONS = (None, "eu", "asia")


def gateways(count: int, *, weights: Sequence[float] = (1,)) -> list[Gateway]:
    """Return gateways with networks of their own."""
    return [
        Gateway(
            f"gw-{number}",
            weight=weights[number % len(weights)],
            addresses=(ip_interface(f"10.{number}.0.1/22"), ip_interface(f"fd00:{number}::1/64")),
        )
        for number in range(count)
    ]


def members(count: int, prefix: str = "client") -> list[Member]:
    return [Member(f"{prefix}-{number}") for number in range(count)]


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Small fleets in which room is often scarce."""
    names = [f"gw-{number}" for number in range(draw(st.integers(1, 6)))]
    capacity = st.one_of(st.none(), st.integers(0, 8))
    rare = st.sampled_from([True, *[False] * 9])
    found = [
        Gateway(name, draw(st.sampled_from([0.5, 1, 3])), draw(capacity), draw(st.sampled_from(REGIONS)), draw(rare))
        for name in names
    ]
    regions = sorted({gateway.region for gateway in found if gateway.region and not gateway.drain})
    people = []
    for number in range(draw(st.integers(0, 20))):
        pin = draw(st.sampled_from(names)) if draw(rare) else None
        region = draw(st.sampled_from([None, *regions])) if pin is None else None
        people.append(Member(f"c{number}", pin, region, draw(st.sampled_from([0, 0, 0, 1, 2]))))
    return people, found


def may_be_on(member: Member, gateway: Gateway) -> bool:
    return not gateway.drain and member.region in (None, gateway.region)


def is_possible(people: Iterable[Member], found: Sequence[Gateway]) -> bool:
    """Return whether there is any placement at all: a flow from clients to gateways that is as large as all want."""
    limits = {gateway.name: 0 if gateway.drain else gateway.capacity for gateway in found}
    choices = {
        member.name: [gateway.name for gateway in found if may_be_on(member, gateway)]
        if member.standby or member.gateway is None
        else [gateway.name for gateway in found if gateway.name == member.gateway and not gateway.drain]
        for member in people
    }
    fixed = {(member.name, member.gateway) for member in people if member.gateway is not None}
    if any(gateway not in choices[client] for client, gateway in fixed):
        return False
    on: set[tuple[str, str]] = {(client, str(gateway)) for client, gateway in fixed}

    def full(gateway: str) -> bool:
        limit = limits[gateway]
        return limit is not None and sum(name == gateway for _, name in on) >= limit

    def find(client: str, seen: set[str]) -> bool:
        for gateway in choices[client]:
            if gateway in seen or (client, gateway) in on:
                continue
            seen.add(gateway)
            others = [] if not full(gateway) else sorted(name for name, at in on if at == gateway)
            if not full(gateway):
                on.add((client, gateway))
                return True
            for other in others:
                if (other, gateway) not in fixed and find(other, seen):
                    on.remove((other, gateway))
                    on.add((client, gateway))
                    return True
        return False

    counts = Counter(gateway for _, gateway in on)
    if any(limit is not None and counts[name] > limit for name, limit in limits.items()):
        return False
    return all(
        find(member.name, set()) for member in people for _ in range(member.places - (member.gateway is not None))
    )


def on(placement: Placement) -> Mapping[str, tuple[str, ...]]:
    """Return the gateways of each client."""
    return {name: tuple(place.gateway for place in places) for name, places in placement.items()}


def counts(placement: Mapping[str, Sequence[Place]]) -> Counter[str]:
    return Counter(place.gateway for places in placement.values() for place in places)
