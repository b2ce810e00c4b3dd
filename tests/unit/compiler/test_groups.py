# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups and fallbacks: their numbers, what the kernel is given for them, and what a choice may change."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any, Optional

from hypothesis import given
from hypothesis import strategies as st

from splitway.choices import Choice, with_choices
from splitway.compiler import compile_state
from splitway.sealed import parts_of, sealed, state_of, unsealed
from splitway.state import Member, State, Table, Target, Way, mark_of
from splitway.topology import model
from splitway.topology.model import Client, Endpoint, Group, Health, Policy, Probe, Rule, Server, Topology, Upstream

EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
BOTH = (ipaddress.ip_interface("10.64.0.2/32"), ipaddress.ip_interface("fd64::2/128"))


def upstream(name: str, **fields: Any) -> Upstream:
    return Upstream(
        name, Endpoint("198.51.100.1", 51820), "key", **{"allowed_ips": EVERYTHING, "addresses": BOTH, **fields}
    )


def topology(*egresses: str, groups: tuple[Group, ...] = (), **upstreams: dict[str, Any]) -> Topology:
    """Return a topology with the upstreams us, eu and jp, in which rules lead to these egresses."""
    rules = tuple(Rule(name, networks=(ipaddress.ip_network(f"8.{i}.0.0/16"),)) for i, name in enumerate(egresses))
    return Topology(
        server=Server("wg0", 51820, (ipaddress.ip_interface("10.8.0.1/16"),)),
        upstreams=tuple(upstream(name, **upstreams.get(name, {})) for name in ("us", "eu", "jp")),
        groups=groups,
        clients=(Client("alice", (ipaddress.ip_address("10.8.0.2"),), Policy(rules)),),
    )


def group(name: str, *members: str, **fields: Any) -> Group:
    return Group(name, tuple(map(model.Member, members)), **fields)


def egresses_of(state: State) -> dict[str, Any]:
    assert state.marks
    return {egress.name: egress for egress in state.marks.egresses}


def groups_of(state: State) -> dict[str, Any]:
    assert state.agent
    return {entry.name: entry for entry in state.agent.groups}


def marked_tables(state: State) -> dict[int, int]:
    """Return number → table of the rules for marks."""
    return {
        number: rule.table
        for number in range(1, 200)
        for rule in state.routes.rules
        if rule.action == "lookup" and rule.mark == mark_of(number, 0x3FFF)
    }


def test_a_group_has_a_number_and_each_member_one_with_its_own_table() -> None:
    state = compile_state(topology("fast", groups=(group("fast", "us", "jp"),)), {})
    assert {key: number for key, number in state.numbers.items() if key.startswith("egress:")} == {
        "egress:block": 100,
        "egress:us": 101,
        "egress:eu": 102,
        "egress:jp": 103,
        "egress:fast": 104,
        "egress:fast/us": 105,
        "egress:fast/jp": 106,
    }
    tables = {table.number: table for table in state.routes.tables}
    assert tables[104] == Table(104, "fast", None, ())
    assert tables[106] == dataclasses.replace(tables[103], number=106, egress="fast/jp")
    assert marked_tables(state) == {number: number for number in (100, 104, 105, 106)}
    assert [rule.table for rule in state.routes.rules if rule.oif] == [101, 102, 103]
    egresses = egresses_of(state)
    assert {name: egress.interface for name, egress in egresses.items()} == {
        "direct": None,
        "block": None,
        "fast": None,
        "fast/us": "wg-up-1",
        "fast/jp": "wg-up-3",
    }
    assert (egresses["fast"].ways, egresses["fast"].may_use) == ((Way(105),), (105, 106))


def test_a_group_renumbers_nobody_and_an_upstream_that_comes_later_has_its_own_interface() -> None:
    before = compile_state(topology("us"), {})
    after = compile_state(topology("us", "fast", groups=(group("fast", "us"),)), before.numbers)
    assert {key: after.numbers[key] for key in before.numbers if key.startswith("egress:")} == {
        key: number for key, number in before.numbers.items() if key.startswith("egress:")
    }
    assert after.upstreams == before.upstreams
    wanted = topology("us", "fast", groups=(group("fast", "us"),))
    wanted = dataclasses.replace(wanted, upstreams=(upstream("uk"), *wanted.upstreams))
    later = compile_state(wanted, after.numbers)
    assert [device.interface for device in later.upstreams] == ["wg-up-6", "wg-up-1", "wg-up-2", "wg-up-3"]
    assert state_of(unsealed(sealed(parts_of(later)))) == later


def test_a_name_that_changes_its_kind_changes_its_number() -> None:
    """A flow of the upstream would be taken for one of the group, in whose table is no tunnel."""
    first = compile_state(topology("us"), {})
    without = topology("us", groups=(group("us", "eu"),))
    without = dataclasses.replace(without, upstreams=without.upstreams[1:])
    second = compile_state(without, first.numbers)
    assert second.numbers["egress:us"] not in first.numbers.values()
    back = compile_state(topology("us"), second.numbers)
    assert back.numbers["egress:us"] not in second.numbers.values()


def test_balance_begins_with_all_members_by_weight_and_disabled_ones_are_none() -> None:
    members = (model.Member("us", 3), model.Member("eu"), model.Member("jp", 2))
    wanted = topology("fast", groups=(Group("fast", members, "balance"),), eu={"enabled": False})
    state = compile_state(wanted, {})
    assert egresses_of(state)["fast"].ways == (Way(105, 3), Way(107, 2))
    assert groups_of(state)["fast"].members == (Member(105, "us", 3), Member(107, "jp", 2))
    assert "fast/eu" not in egresses_of(state)
    assert 106 not in marked_tables(state)
    assert [watch.upstream for watch in state.agent.watches] == ["us", "jp"]


def test_what_is_off_is_blocked_whatever_its_on_down_says() -> None:
    wanted = topology(
        "fast",
        "jp",
        groups=(group("fast", "us", on_down="direct"),),
        us={"enabled": False},
        eu={"enabled": False},
        jp={"on_down": "eu"},
    )
    state = compile_state(wanted, {})
    assert groups_of(state) == {}
    fast = egresses_of(state)["fast"]
    assert (fast.ways, fast.may_use, fast.may_go_direct) == ((), (), False)
    assert with_choices(state, {fast.number: Choice((Way(0),), True)}) == state


def test_fallbacks_are_used_as_far_as_they_lead() -> None:
    wanted = topology(
        "fast", groups=(group("fast", "us", on_down="eu"), group("last", "us", "jp")), eu={"on_down": "last"}
    )
    state = compile_state(wanted, {})
    fast, eu, last = (groups_of(state)[name] for name in ("fast", "eu", "last"))
    assert (fast.on_down, fast.fallback, eu.fallback, last.on_down) == ("egress", 102, 105, "block")
    assert (eu.members, eu.number) == ((Member(102, "eu"),), 102)
    assert egresses_of(state)["fast"].may_use == (106, 102, 105, 107, 108)
    assert egresses_of(state)["eu"].ways == (Way(102),)
    assert set(egresses_of(state)) == {"direct", "block", "fast", "fast/us", "eu", "last", "last/us", "last/jp"}
    assert set(marked_tables(state)) == {100, 102, 104, 105, 106, 107, 108}


def test_what_is_bound_to_a_tunnel_is_routed_while_its_upstream_goes_direct() -> None:
    state = compile_state(topology("us", us={"on_down": "direct"}), {})
    (bound,) = (rule.table for rule in state.routes.rules if rule.oif == "wg-up-1")
    assert bound == 104
    chosen = with_choices(state, {101: Choice((Way(101),), True)})
    tables = {table.number: table for table in chosen.routes.tables}
    assert (tables[101].interface, tables[101].floor) == (None, "throw")
    assert tables[bound].interface == "wg-up-1"
    assert bound not in marked_tables(state)


def targets(**fields: Any) -> Optional[tuple[Target, ...]]:
    state = compile_state(topology(us=fields), {})
    assert state.agent
    return state.agent.watches[0].targets


def test_the_usual_probes_are_those_that_the_tunnel_can_carry() -> None:
    v4 = (Target("icmp", "1.1.1.1"), Target("icmp", "8.8.8.8"))
    assert targets() == targets(addresses=(), nat=False) == v4
    assert targets(addresses=BOTH[1:])[0].address == "2606:4700:4700::1111"
    assert targets(addresses=()) == ()
    assert targets(allowed_ips=(ipaddress.ip_network("8.0.0.0/8"),)) == v4[1:]
    own = (Probe("dns", ipaddress.ip_address("10.64.0.1"), name="example.com"),)
    assert targets(health=Health(own)) == (Target("dns", "10.64.0.1", None, "example.com"),)


NUMBERS = st.integers(0, 112)
CHOICES = st.dictionaries(
    NUMBERS,
    st.builds(Choice, st.lists(st.builds(Way, NUMBERS, st.integers(-1, 3)), max_size=4).map(tuple), st.booleans()),
)


@given(CHOICES)
def test_a_choice_can_only_be_one_that_the_state_allows(choices: dict[int, Choice]) -> None:
    """Whatever stands in the file of choices, a flow gets a number that the operator's words lead to."""
    wanted = topology(
        "fast", "safe", "jp", groups=(group("fast", "us", "eu", on_down="direct"), group("safe", "us", on_down="eu"))
    )
    state = compile_state(wanted, {})
    names = {egress.number: egress.name for egress in state.marks.egresses}
    allowed = {"fast": {"fast", "fast/us", "fast/eu"}, "safe": {"safe", "safe/us", "eu"}}
    chosen = with_choices(state, choices)
    for egress in chosen.marks.egresses:
        assert {names[way.number] for way in egress.ways} <= allowed.get(egress.name, set())
        assert bool(egress.ways) == (egress.name in allowed)
        assert all(way.weight > 0 for way in egress.ways)
        assert not egress.direct or egress.name == "fast"
    for table in chosen.routes.tables:
        assert table.floor != "throw" or (table.egress == "fast" and choices[table.number].direct)
