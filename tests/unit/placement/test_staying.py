# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients stay where they are: in fleets with hardly any room, and whatever is done to these."""

from __future__ import annotations

import dataclasses
import random
from ipaddress import ip_interface

import pytest

from ansible_collections.splitway.gateway.tests.unit.placement.fleets import counts, may_be_on, on
from splitway.placement import Gateway, Member, Place, Placement, PlacementError, Plan, plan
from splitway.placement.planning import limit

REGIONS = ("eu", "asia", None)


def test_nobody_makes_room_for_another_unless_a_rebalance_is_asked_for() -> None:
    found = [Gateway("fra", capacity=2, region="eu"), Gateway("sgp", capacity=9, region="asia")]
    before = {name: (Place("fra"),) for name in ("ann", "bob")}
    people = [Member("ann", region="eu"), Member("bob"), Member("carol", region="eu")]
    with pytest.raises(PlacementError) as refused:
        plan(people, found, before)
    assert str(refused.value).splitlines() == [
        "no room for carol: fra takes 2 clients (splitway_placement.capacity)",
        "with splitway_rebalance there is room for all, and 1 client would move: bob",
    ]
    asked = plan(people, found, before, rebalance=True)
    assert on(asked.placement) == {"ann": ("fra",), "bob": ("sgp",), "carol": ("fra",)}
    assert {change.client: change.why for change in asked.changes} == {"bob": "rebalanced", "carol": "new"}


def test_a_rebalance_is_not_named_where_it_does_not_help() -> None:
    with pytest.raises(PlacementError) as refused:
        plan([Member("ann"), Member("bob")], [Gateway("fra", capacity=1)], {"ann": (Place("fra"),)})
    assert str(refused.value) == "no room for bob: fra takes 1 client (splitway_placement.capacity)"


def test_a_thousand_changes_of_a_crowded_fleet_move_only_whom_they_concern() -> None:
    chance = random.Random(3)
    people = {f"c{number}": Member(f"c{number}") for number in range(30)}
    found = {f"g{number}": _gateway(chance, number) for number in range(5)}
    before: Placement = {}
    refused = 0
    for number in range(1000):
        new_people, new_found = dict(people), dict(found)
        _change(chance, number, new_people, new_found)
        try:
            planned = plan(new_people.values(), new_found.values(), before)
        except PlacementError:
            refused += 1  # nothing is written: the operator takes the change back
            continue
        _assert_right(planned, new_people, new_found)
        _assert_stays(planned, before, new_people, new_found)
        people, found, before = new_people, new_found, planned.placement
    assert 200 < refused < 800  # there was too little room, and there was enough


def _gateway(chance: random.Random, number: int) -> Gateway:
    addresses = (ip_interface(f"10.0.{number}.1/27"), ip_interface(f"fd00:{number}::1/64"))
    return Gateway(
        f"g{number}", chance.choice([0.5, 1, 4]), chance.randint(5, 16), chance.choice(REGIONS), addresses=addresses
    )


def _change(chance: random.Random, number: int, people: dict[str, Member], found: dict[str, Gateway]) -> None:
    client, gateway = chance.choice(sorted(people)), chance.choice(sorted(found))
    name = f"n{number}"
    what = chance.randrange(11)
    if what < 3:
        people[name] = Member(name, region=chance.choice(REGIONS), standby=chance.choice([0, 0, 0, 1]))
    elif what < 5 and len(people) > 5:
        del people[client]
    elif what == 5:
        people[client] = dataclasses.replace(people[client], gateway=chance.choice([None, *sorted(found)]))
    elif what == 6:
        people[client] = dataclasses.replace(people[client], region=chance.choice(REGIONS))
    elif what == 7:
        people[client] = dataclasses.replace(people[client], standby=chance.choice([0, 1, 2]))
    elif what == 8 and len(found) < 7:
        found[f"g{number + 5}"] = _gateway(chance, number % 250)
        found[f"g{number + 5}"] = dataclasses.replace(found[f"g{number + 5}"], name=f"g{number + 5}")
    elif what == 9 and len(found) > 4:
        del found[gateway]
    else:
        changes = {
            "weight": chance.choice([0.5, 1, 4]),
            "capacity": chance.randint(5, 16),
            "region": chance.choice(REGIONS),
            "drain": not found[gateway].drain,
        }
        key = chance.choice(sorted(changes))
        found[gateway] = dataclasses.replace(found[gateway], **{key: changes[key]})


def _assert_right(planned: Plan, people: dict[str, Member], found: dict[str, Gateway]) -> None:
    """Everybody is where he may be, no gateway has too many, and no address is there twice."""
    assert set(planned.placement) == set(people)
    for name, count in counts(planned.placement).items():
        assert count <= min(limit(found[name]), found[name].capacity or 0)
    seen = set()
    for name, places in planned.placement.items():
        assert len({place.gateway for place in places}) == len(places) == people[name].standby + 1
        assert people[name].gateway in (None, places[0].gateway)
        for place in places:
            assert may_be_on(people[name], found[place.gateway])
            assert [address.version for address in place.addresses] == [4, 6]
            for address in place.addresses:
                own = next(own for own in found[place.gateway].addresses if own.version == address.version)
                assert address in own.network
                assert address not in (own.ip, own.network.network_address, own.network[-1] if own.version == 4 else 0)
                assert (place.gateway, address) not in seen
                seen.add((place.gateway, address))


def _assert_stays(planned: Plan, before: Placement, people: dict[str, Member], found: dict[str, Gateway]) -> None:
    """Who could stay is where he was, with the addresses that he had."""
    kept = {name: places for name, places in before.items() if name in people}
    pins = {(member.name, member.gateway) for member in people.values() if member.gateway is not None}
    for name, places in kept.items():
        member, after = people[name], {place.gateway: place for place in planned.placement[name]}
        for index, place in enumerate(places):
            gateway = found.get(place.gateway)
            if gateway is None or not may_be_on(member, gateway) or index > member.standby:
                continue
            others = {who for who, gateways in on(kept).items() if place.gateway in gateways}
            others |= {who for who, pin in pins if pin == place.gateway}
            if len(others) > limit(gateway) or (member.gateway is not None and member.gateway != places[0].gateway):
                continue  # the gateway has too many, or the client is pinned elsewhere
            assert after.get(place.gateway) == place, (name, place, after)
