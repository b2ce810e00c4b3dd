# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every fleet: capacities, pins, regions, who moves, how even it is, and that it is always the same."""

from __future__ import annotations

import dataclasses
import math
import random
import time
from hashlib import blake2b
from typing import Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.placement.fleets import (
    Fleet,
    counts,
    fleets,
    gateways,
    is_possible,
    may_be_on,
    members,
    on,
)
from splitway.placement import Gateway, Member, Placement, PlacementError, plan

SECONDS = 15  # of the processor for 100 gateways and 10,000 clients; it takes about one


def placed(fleet: Fleet, before: Optional[Placement] = None, *, rebalance: bool = False) -> Optional[Placement]:
    try:
        return plan(*fleet, before or {}, rebalance=rebalance).placement
    except PlacementError:
        return None


def assert_right(fleet: Fleet, placement: Placement) -> None:
    """Each client is on as many gateways as it wants, where it may be, and no gateway has too many."""
    people, found = fleet
    by_name = {gateway.name: gateway for gateway in found}
    assert set(placement) == {member.name for member in people}
    for member in people:
        names = on(placement)[member.name]
        assert len(set(names)) == len(names) == member.places
        assert all(may_be_on(member, by_name[name]) for name in names)
        assert member.gateway in (None, names[0])
    assert all(gateway.capacity is None or counts(placement)[gateway.name] <= gateway.capacity for gateway in found)


@settings(max_examples=300)
@given(fleets())
def test_everybody_is_placed_or_it_is_impossible(fleet: Fleet) -> None:
    placement = placed(fleet)
    if placement is None:
        assert not is_possible(*fleet)
    else:
        assert_right(fleet, placement)


@settings(max_examples=200)
@given(fleets(), fleets(), st.booleans(), st.randoms())
def test_what_comes_after_another_fleet_is_right_final_and_knows_no_order(
    first: Fleet, second: Fleet, rebalance: bool, chance: random.Random
) -> None:
    before = placed(first) or {}
    after = placed(second, before, rebalance=rebalance)
    people, found = second
    if after is None:
        # … or it is possible only if some move who need not.
        assert (placed(second, before, rebalance=True) is None) == (not is_possible(people, found))
        assert not rebalance or not is_possible(people, found)
        return
    assert is_possible(people, found)
    assert_right(second, after)
    chance.shuffle(people)
    chance.shuffle(found)
    shuffled = dict(sorted(before.items(), key=lambda _: chance.random()))
    assert placed((people, found), shuffled, rebalance=rebalance) == after
    assert plan(people, found, after, rebalance=rebalance).changes == ()
    if rebalance:
        assert on(after) == on(placed(second) or {})  # nothing of what was before is left


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3)])
def test_a_hundred_gateways_get_their_shares_of_ten_thousand_clients_within_seconds(weights: tuple[float, ...]) -> None:
    found = gateways(100, weights=weights)
    begun = time.process_time()
    placement = plan(members(10_000), found, {}).placement
    assert time.process_time() - begun < SECONDS
    total = sum(gateway.weight for gateway in found)
    for gateway in found:
        mean = 10_000 * gateway.weight / total
        assert abs(counts(placement)[gateway.name] - mean) <= 4 * math.sqrt(mean)


@pytest.mark.parametrize("weight", [1, 3])
def test_a_gateway_that_comes_takes_its_share_and_nobody_else_moves(weight: float) -> None:
    found, people = gateways(20), members(4000)
    before = plan(people, found, {}).placement
    new = Gateway("new", weight)
    assert plan(people, [*found, new], before).changes == ()
    moved = plan(people, [*found, new], before, rebalance=True)
    assert {on(moved.placement)[change.client] for change in moved.changes} == {("new",)}
    assert {change.why for change in moved.changes} == {"rebalanced"}
    share = 4000 * weight / (20 + weight)
    assert abs(len(moved.changes) - share) <= 4 * math.sqrt(share)
    # … and when it leaves again, all is as it was.
    back = plan(people, found, moved.placement)
    assert on(back.placement) == on(before)
    assert {change.why for change in back.changes} == {"gone"}


def test_a_gateway_that_goes_or_is_drained_moves_its_clients_only_and_spreads_them() -> None:
    found, people = gateways(20), members(4000)
    before = plan(people, found, {}).placement
    leaving = {client for client, names in on(before).items() if names == ("gw-3",)}
    for why, left in (
        ("gone", [gateway for gateway in found if gateway.name != "gw-3"]),
        ("drained", [dataclasses.replace(gateway, drain=gateway.name == "gw-3") for gateway in found]),
    ):
        moved = plan(people, left, before)
        assert {change.client for change in moved.changes} == leaving
        assert {change.why for change in moved.changes} == {why}
        assert all(change.moves and change.new_files for change in moved.changes)
        assert max(counts(moved.placement).values()) - max(counts(before).values()) < len(leaving) / 5


def test_a_gateway_that_takes_less_keeps_the_best_scores_and_only_the_rest_moves() -> None:
    found, people = gateways(5), members(200)
    before = plan(people, found, {}).placement
    there = [client for client, names in on(before).items() if names == ("gw-2",)]

    def even(client: str) -> int:
        return int.from_bytes(blake2b(f"gw-2\0{client}".encode(), digest_size=8).digest(), "big")

    best = sorted(there, key=even)[-10:]
    shrunk = [dataclasses.replace(gateway, capacity=10 if gateway.name == "gw-2" else None) for gateway in found]
    moved = plan(people, shrunk, before)
    assert {change.client for change in moved.changes} == set(there) - set(best)
    assert {change.why for change in moved.changes} == {"over capacity"}


def test_full_gateways_send_the_lowest_on_and_the_fleet_can_be_filled_to_the_last_place() -> None:
    found = [dataclasses.replace(gateway, capacity=20) for gateway in gateways(10)]
    placement = plan(members(200), found, {}).placement
    assert set(counts(placement).values()) == {20}
    with pytest.raises(PlacementError, match="no room for client-"):
        plan(members(201), found, {})


def test_a_thousand_changes_move_nobody_without_a_reason() -> None:
    chance = random.Random(7)
    fleet = World(chance)
    before: Placement = {}
    for _ in range(1000):
        people, found = fleet.changed()
        planned = plan(people, found, before)
        assert_right((people, found), planned.placement)
        by_name, wanted = {gateway.name: gateway for gateway in found}, {member.name: member for member in people}
        crowded = {
            name
            for name, count in counts({client: places for client, places in before.items() if client in wanted}).items()
            if name in by_name and count > (by_name[name].capacity or math.inf)
        }
        for change in planned.changes:
            if not change.moves:
                assert not (change.before and change.after)
                continue
            home = by_name.get(change.before[0].gateway)
            member = wanted[change.client]
            reasons = {
                "gone": home is None,
                "drained": home is not None and home.drain,
                "region": home is not None and not may_be_on(member, home),
                "pinned": member.gateway not in (None, change.before[0].gateway),
                "over capacity": home is not None and home.name in crowded,
            }
            assert reasons[change.why], change
        before = planned.placement
    assert plan(*fleet.now(), before).changes == ()


class World:
    """A fleet in which something changes every day; there is always room for all, and in both regions."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.number = 0
        self.people: dict[str, Member] = {}
        self.found: dict[str, Gateway] = {}
        for _ in range(12):
            self.build()
        for _ in range(60):
            self.hire()

    def now(self) -> Fleet:
        return list(self.people.values()), list(self.found.values())

    def changed(self) -> Fleet:
        steps = (self.hire, self.hire, self.leave, self.leave, self.build, self.lose, self.alter, self.alter, self.tie)
        self.chance.choice(steps)()
        return self.now()

    def hire(self) -> None:
        self.number += 1
        if len(self.people) < 90:
            region = self.chance.choice([None, None, "eu", "asia"])
            self.people[f"c{self.number}"] = Member(f"c{self.number}", region=region)

    def leave(self) -> None:
        if len(self.people) > 30:
            del self.people[self.chance.choice(sorted(self.people))]

    def build(self) -> None:
        self.number += 1
        region = "eu" if self.number % 2 else "asia"
        if len(self.found) < 16:
            weight = self.chance.choice([1, 2])
            self.found[f"g{self.number}"] = Gateway(f"g{self.number}", weight, 60, region)

    def lose(self) -> None:
        name = self.chance.choice(sorted(self.found))
        pinned = {member.gateway for member in self.people.values()}
        if name not in pinned and sum(gateway.region == self.found[name].region for gateway in self.found.values()) > 5:
            del self.found[name]

    def alter(self) -> None:
        """Of each region at least two stay that are not drained and take 60."""
        name = self.chance.choice(sorted(self.found))
        pinned = {member.gateway for member in self.people.values()}
        gateway = dataclasses.replace(self.found[name], drain=False, capacity=60)
        same = [other for other in self.found.values() if other.region == gateway.region and other.name != name]
        if name not in pinned and sum(not other.drain and other.capacity == 60 for other in same) >= 2:
            what = self.chance.choice([{"drain": True}, {"capacity": self.chance.randint(1, 8)}, {}])
            gateway = dataclasses.replace(gateway, **what)
        self.found[name] = gateway if name not in pinned else self.found[name]

    def tie(self) -> None:
        """Bind somebody to a gateway of his region, or to none any more."""
        member = self.people[self.chance.choice(sorted(self.people))]
        free = [
            gateway.name for gateway in self.found.values() if may_be_on(member, gateway) and gateway.capacity == 60
        ]
        pin = None if member.gateway or not free else self.chance.choice(sorted(free))
        self.people[member.name] = dataclasses.replace(member, gateway=pin)
