# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients' addresses: from their gateways' networks, kept, and refused where there are too few."""

from __future__ import annotations

import dataclasses
import random
import re
from ipaddress import ip_address, ip_interface

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.placement.fleets import counts, gateways, members
from splitway.placement import Gateway, Member, Place, Placement, PlacementError, plan


def gateway(name: str, *addresses: str, **more: object) -> Gateway:
    return dataclasses.replace(Gateway(name, addresses=tuple(map(ip_interface, addresses))), **more)


def addresses(placement: Placement, client: str) -> list[list[str]]:
    return [list(map(str, place.addresses)) for place in placement[client]]


def test_one_of_each_family_the_lowest_that_is_free_and_nobody_elses() -> None:
    taken = frozenset({ip_address("10.1.0.1"), ip_address("fd01::1")})
    only = gateway("gw", "10.1.0.2/29", "fd01::/127", "fd02::1/64", taken=taken)
    placement = plan(members(4), [only], {}).placement
    assert [addresses(placement, f"client-{number}") for number in range(4)] == [
        [["10.1.0.3", "fd02::2"]],
        [["10.1.0.4", "fd02::3"]],
        [["10.1.0.5", "fd02::4"]],
        [["10.1.0.6", "fd02::5"]],
    ]


def test_addresses_are_kept_and_those_of_who_left_are_given_out_again() -> None:
    only = gateway("gw", "10.1.0.1/29")
    before = plan(members(3), [only], {}).placement
    after = plan([*members(3)[1:], Member("anna"), Member("zoe")], [only], before).placement
    assert [addresses(after, name) for name in ("client-1", "client-2", "anna", "zoe")] == [
        [["10.1.0.3"]],
        [["10.1.0.4"]],
        [["10.1.0.2"]],
        [["10.1.0.5"]],
    ]


def test_who_moves_to_a_gateway_with_the_same_network_keeps_an_address_that_is_free_there() -> None:
    found = [gateway("a", "10.1.0.1/24"), gateway("b", "10.1.0.1/24")]
    people = [Member("alice", "a"), Member("bob", "a"), Member("carol", "b")]
    before = plan(people, found, {}).placement
    assert [addresses(before, name) for name in ("alice", "bob", "carol")] == [
        [["10.1.0.2"]],
        [["10.1.0.3"]],
        [["10.1.0.2"]],
    ]
    after = plan([Member(member.name, "b") for member in people], found, before).placement
    assert [addresses(after, name) for name in ("alice", "bob", "carol")] == [
        [["10.1.0.4"]],
        [["10.1.0.3"]],
        [["10.1.0.2"]],
    ]


def test_a_network_that_changes_gives_new_addresses_and_says_so() -> None:
    before = plan(members(2), [gateway("gw", "10.1.0.1/24", "fd01::1/64")], {}).placement
    moved = plan(members(2), [gateway("gw", "10.2.0.1/24", "fd01::1/64")], before)
    assert [(change.why, change.moves, change.new_files) for change in moved.changes] == [
        ("addresses", False, ("gw",))
    ] * 2
    assert addresses(moved.placement, "client-0") == [["10.2.0.2", "fd01::2"]]


def test_an_address_that_somebody_is_given_is_his_alone_and_chooses_the_gateway() -> None:
    found = [gateway("a", "10.1.0.1/24"), gateway("b", "10.2.0.1/24")]
    fixed = Member("zoe", addresses=(ip_address("10.2.0.2"),))
    before = plan(members(6), found, {}).placement
    moved = plan([*members(6), fixed], found, before)
    assert moved.placement["zoe"] == (Place("b", (ip_address("10.2.0.2"),)),)
    assert sorted(change.why for change in moved.changes) == ["addresses", "new"]
    everybodys = [
        (place.gateway, address)
        for places in moved.placement.values()
        for place in places
        for address in place.addresses
    ]
    assert len(set(everybodys)) == len(everybodys)


def test_gateways_with_one_key_give_a_client_the_same_addresses_and_no_other_client_has_them() -> None:
    found = [gateway("a", "10.1.0.1/24", twins="a"), gateway("b", "10.1.0.1/24", twins="a")]
    people = [Member("alice", "a"), Member("bob", "b"), Member("carol", standby=1)]
    placement = plan(people, found, {}).placement
    assert [addresses(placement, name) for name in ("alice", "bob", "carol")] == [
        [["10.1.0.2"]],
        [["10.1.0.3"]],
        [["10.1.0.4"], ["10.1.0.4"]],
    ]
    with pytest.raises(PlacementError, match=r'"carol": is on [ab], [ab], which have one private_key'):
        plan([Member("carol", standby=1, keyed=False)], found, {})


def test_gateways_with_one_key_need_a_network_for_all_of_their_clients() -> None:
    found = [gateway("a", "10.1.0.1/29", twins="a"), gateway("b", "10.1.0.1/29", twins="a")]
    people = [Member(f"c{number}", "ab"[number % 2]) for number in range(7)]
    with pytest.raises(PlacementError) as caught:
        plan(people, found, {})
    assert caught.value.errors == (
        "splitway_server.addresses of b: 10.1.0.0/29 has no address left for c5",
        "splitway_server.addresses of a: 10.1.0.0/29 has no address left for c6",
    )


def test_who_has_two_gateways_without_a_common_key_has_an_address_of_each() -> None:
    found = [gateway("a", "10.1.0.1/24"), gateway("b", "10.2.0.1/24")]
    placement = plan([Member("alice", "b", standby=1, keyed=False)], found, {}).placement
    assert [place.gateway for place in placement["alice"]] == ["b", "a"]
    assert addresses(placement, "alice") == [["10.2.0.2"], ["10.1.0.2"]]


def test_a_lost_gateway_leaves_its_standby_as_the_first() -> None:
    found = gateways(3)
    before = plan([Member("alice", standby=1)], found, {}).placement
    first = before["alice"][0].gateway
    [change] = plan([Member("alice", standby=1)], [one for one in found if one.name != first], before).changes
    assert change.after[0] == before["alice"][1]
    assert change.why == "gone"
    assert set(change.new_files) == {place.gateway for place in change.after}  # their priorities are others now
    [less] = plan([Member("alice")], found, before).changes
    assert (less.why, less.after, less.new_files) == ("standby", before["alice"][:1], ())


NETWORKS = [("10.1.0.1/28", "fd01::1/64"), ("10.2.0.1/28",), ("10.1.0.1/28",), ("fd02::1/123", "10.4.0.1/27")]


@st.composite
def days(draw: st.DrawFn) -> tuple[list[Member], list[Gateway]]:
    """A fleet of a day, in which some gateways have a network in common, or a key, too, and some clients an address."""
    found = [
        gateway(f"gw-{number}", *draw(st.sampled_from(NETWORKS)), twins=draw(st.sampled_from(["", "", "t"])))
        for number in range(draw(st.integers(2, 4)))
    ]
    names = draw(st.lists(st.sampled_from([f"c{number}" for number in range(30)]), unique=True, max_size=20))
    fixed = {names[0]: (ip_address("10.1.0.9"),)} if names and draw(st.booleans()) else {}
    return [Member(name, standby=draw(st.integers(0, 1)), addresses=fixed.get(name, ())) for name in names], found


@settings(max_examples=150)
@given(st.lists(days(), min_size=1, max_size=3), st.randoms())
def test_nobody_has_anothers_address_and_who_can_keeps_his(
    fleets: list[tuple[list[Member], list[Gateway]]], chance: random.Random
) -> None:
    before: Placement = {}
    for people, found in fleets:
        try:
            after = plan(people, found, before).placement
        except PlacementError:
            continue
        shuffled = sorted(people, key=lambda _: chance.random()), sorted(found, key=lambda _: chance.random())
        assert plan(*shuffled, before).placement == after
        assert plan(people, found, after).changes == ()
        by_name = {one.name: one for one in found}
        owners: dict[tuple[str, str], str] = {}
        for client, places in after.items():
            for place in places:
                at = by_name[place.gateway]
                fixed = next(member.addresses for member in people if member.name == client)
                families = {own.version for own in at.addresses}
                assert fixed == place.addresses or {address.version for address in place.addresses} == families
                for address in place.addresses:
                    assert any(address in own.network and address != own.ip for own in at.addresses)
                    scope = f"{at.twins}{sorted(map(str, at.addresses))}" if at.twins else at.name
                    assert owners.setdefault((scope, str(address)), client) == client
        before = after


def test_a_small_pool_is_a_limit_and_too_small_ones_are_named() -> None:
    found = [gateway("a", "10.1.0.1/29"), gateway("b", "10.2.0.1/24", "fd02::1/126", capacity=200)]
    placement = plan(members(7), found, {}).placement
    assert dict(counts(placement)) == {"a": 5, "b": 2}
    with pytest.raises(PlacementError) as caught:
        plan(members(9), found, {})
    assert re.fullmatch(
        r"no room for client-\d, client-\d: a takes 5 clients \(its pool 10.1.0.0/29\); "
        r"b takes 2 clients \(its pool 10.2.0.0/24, fd02::/126\); in all 7",
        str(caught.value),
    )


@pytest.mark.parametrize(
    ("people", "problem"),
    [
        ([Member("x", "c")], 'client "x": is pinned to "c", which is no gateway of the fleet'),
        ([Member("x", "b")], 'client "x": is pinned to "b", which is drained: pin it to another, or not at all'),
        ([Member("x", "a", "asia")], 'client "x": is pinned to "a", which is not in its region "asia"'),
        (
            [Member("x", "a", addresses=(ip_address("10.9.0.1"),))],
            'client "x": is pinned to "a", where a client cannot have 10.9.0.1',
        ),
        (
            [Member("x", addresses=(ip_address("10.1.0.1"),), path="splitway_fleet_clients[3]")],
            'splitway_fleet_clients[3] ("x"): wants 1 gateway that is not drained and where a client can have 10.1.0.1',
        ),
        (
            [Member("x", region="eu", standby=1)],
            'client "x": wants 2 gateways that are not drained and in its region "eu"; there is one (a)',
        ),
        (
            [Member("x", "a"), Member("y", "a")],
            "a takes 1 client (splitway_placement.capacity), 2 are pinned to it: x, y",
        ),
        (
            [Member("x", addresses=(ip_address("10.1.0.5"),)), Member("y", addresses=(ip_address("10.1.0.5"),))],
            "no room for ",
        ),
    ],
)
def test_what_cannot_be_is_said_with_the_client_and_what_is_in_the_way(people: list[Member], problem: str) -> None:
    found = [
        gateway("a", "10.1.0.1/24", region="eu", capacity=1),
        gateway("b", "10.2.0.1/24", region="eu", drain=True),
        gateway("d", "10.4.0.1/24", region="asia"),
    ]
    with pytest.raises(PlacementError) as caught:
        plan(people, found, {})
    assert str(caught.value).startswith(problem)


def test_two_clients_with_one_address_on_one_gateway_are_named() -> None:
    same = (ip_address("10.1.0.5"),)
    with pytest.raises(PlacementError, match=r'client "y": "10.1.0.5" is already an address of "x" on a'):
        plan([Member("x", addresses=same), Member("y", addresses=same)], [gateway("a", "10.1.0.1/24")], {})


def test_after_a_merge_of_two_branches_no_address_is_there_twice() -> None:
    place = (Place("gw-0", (ip_address("10.0.0.2"), ip_address("fd00:0::2"))),)
    planned = plan(members(2, "new"), gateways(1), {"new-0": place, "new-1": place})
    assert planned.placement["new-0"] == place
    assert [(change.client, change.why) for change in planned.changes] == [("new-1", "addresses")]
    assert set(planned.placement["new-1"][0].addresses).isdisjoint(place[0].addresses)
