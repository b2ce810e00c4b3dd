# SPDX-License-Identifier: GPL-3.0-or-later
"""LAN clients and the policy of the gateway's own connections: what operators write, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT, changed
from splitway.compiler import compile_state
from splitway.reconcile.flows.sources import policies_of_sources
from splitway.state import Host, Marks, State, from_data, to_data
from splitway.topology import TopologyError, parse

LAN = "splitway_lan_clients"
POLICY = next(iter(RIGHT["splitway_policies"]))
OFFICE = {"name": "office", "interface": "eth1", "networks": ["192.168.50.0/24", "fd50::/64"], "policy": POLICY}
BOSS = {"name": "boss", "interface": "eth1", "networks": ["192.168.50.7"], "default": "block"}


def compiled(*changes: tuple[str, Any]) -> State:
    return compile_state(parse(changed(*changes)), {})


def marks(*changes: tuple[str, Any]) -> Marks:
    section = compiled(*changes).marks
    assert section is not None
    return section


def test_the_smallest_network_that_holds_a_source_decides() -> None:
    section = marks((LAN, [OFFICE, BOSS]), ("splitway_host_policy", POLICY))
    policies_of = policies_of_sources(section)
    (office,), (boss,) = policies_of(4, "192.168.50.8"), policies_of(4, "192.168.50.7")
    assert office != boss
    assert policies_of(6, "fd50::8") == (office,)
    assert [entry.network for entry in section.lan] == ["192.168.50.7/32", "192.168.50.0/24", "fd50::/64"]
    by_number = {policy.number: policy.default for policy in section.v4.policies}
    assert by_number[boss] == next(egress.number for egress in section.egresses if egress.name == "block")


def test_whose_flow_it_is_when_nobody_else_s() -> None:
    with_host = marks((LAN, [OFFICE]), ("splitway_host_policy", POLICY))
    assert with_host.host is not None
    assert policies_of_sources(with_host)(4, "203.0.113.9") == (with_host.host.policy,)
    assert policies_of_sources(marks((LAN, [OFFICE])))(4, "203.0.113.9") == ()
    alone = marks(("splitway_host_policy", POLICY))
    assert policies_of_sources(alone, with_host)(4, "192.168.50.8") == (), "it was a LAN client's"


def test_what_the_gateway_itself_needs() -> None:
    state = compiled(("splitway_host_policy", POLICY), ("splitway_dns", {"servers": ["9.9.9.9"]}))
    section = state.marks
    assert section is not None
    assert section.host == Host(
        policy=section.host.policy if section.host else 0,
        resolvers=("10.8.0.1", "fdcc:ad94:bacf:61a4::1"),
        users=("dnsmasq",),
    )
    assert state.server is not None
    assert state.dns is not None
    assert {device.mark for device in (state.server, *state.upstreams)} == {0x1FFF}
    assert state.dns.for_host
    refused = [rule for rule in state.routes.rules if rule.iif == "lo"]
    assert {(rule.family, rule.mark) for rule in refused} >= {(4, 0x2064), (6, 0x2064)}
    assert from_data(State, to_data(state)) == state


def test_without_them_nothing_changes() -> None:
    state = compiled(("splitway_backend", "ipset"))
    assert {device.mark for device in state.upstreams} == {None}
    assert not any(rule.iif == "lo" or rule.source for rule in state.routes.rules)
    disabled = compiled((LAN, [{**OFFICE, "enabled": False}]))
    assert disabled.marks is not None
    assert disabled.marks.lan == ()


def test_a_lan_client_s_network_is_special_and_its_guard_is_in_the_rules() -> None:
    public = {**OFFICE, "networks": ["198.18.5.0/24"]}
    state = compiled((LAN, [public]))
    special = next(entry for entry in state.sets if entry.comment == "special ranges" and entry.family == 4)
    assert "198.18.5.0/24" in special.members
    assert [rule.action for rule in state.routes.rules if rule.source == "198.18.5.0/24"] == ["unreachable"]
    assert state.dns is not None
    assert state.dns.lan == ("eth1",)


def test_a_rule_that_names_a_lan_s_network_comes_before_the_way_back_there() -> None:
    def ways(*rules: Any) -> list[tuple[int, Any, Any]]:
        state = compiled((LAN, [OFFICE]), ("splitway_policies.family.rules[0]", *rules))
        found = (rule for rule in state.routes.rules if rule.destination == "192.168.50.0/24")
        return [(rule.priority, rule.iif, rule.target) for rule in found]

    back = (5020, None, 5040)
    assert ways({"network": "192.168.51.0/24", "egress": "block"}) == [back]
    there = [(5010, interface, 5030) for interface in ("wg0", "eth1")]
    assert ways({"network": "192.168.50.9", "egress": "block"}) == [back, *there]


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ([{"interface": "eth1", "networks": ["192.168.50.0/24"]}], f"{LAN}[0].name: is required"),
        ([{**OFFICE, "interface": "wg0"}], f'{LAN}[0].interface: "wg0" is that of splitway_server'),
        ([{**OFFICE, "interface": "wg-up-1"}], f'{LAN}[0].interface: "wg-up-1" is reserved'),
        ([{**OFFICE, "interface": "lo"}], f'{LAN}[0].interface: "lo" is not an interface name'),
        ([{**OFFICE, "networks": []}], f"{LAN}[0].networks: is empty"),
        ([{**OFFICE, "networks": ["10.8.0.0/16"]}], f'{LAN}[0].networks[0]: "10.8.0.0/16" overlaps 10.8.0.0/'),
        ([{**OFFICE, "networks": ["0.0.0.0/0"]}], f'{LAN}[0].networks[0]: "0.0.0.0/0" overlaps 10.8.0.0/'),
        ([{**OFFICE, "networks": ["fe80::/64"]}], f'{LAN}[0].networks[0]: "fe80::/64" is no network of clients'),
        ([{**OFFICE, "networks": ["192.168.50.1/24"]}], f'{LAN}[0].networks[0]: "192.168.50.1/24" has host bits'),
        ([OFFICE, {**BOSS, "name": "OFFICE"}], f'{LAN}[1].name: "OFFICE" is already the name of {LAN}[0]'),
        (
            [OFFICE, {**BOSS, "networks": ["192.168.50.0/24"]}],
            f'{LAN}[1].networks[0]: "192.168.50.0/24" is {LAN}[0].networks[0] already',
        ),
        (
            [OFFICE, {**BOSS, "interface": "eth2"}],
            f'{LAN}[1].networks[0]: "192.168.50.7/32" overlaps {LAN}[0].networks[0] ("192.168.50.0/24")',
        ),
        ([{**OFFICE, "default": "block"}], f"{LAN}[0]: has a policy and default of its own"),
        ([{**OFFICE, "policy": "nobody"}], f'{LAN}[0].policy: "nobody" is not a policy'),
    ],
)
def test_mistakes_are_named(entries: Any, error: str) -> None:
    with pytest.raises(TopologyError) as raised:
        parse(changed((LAN, entries)))
    assert any(message.startswith(error) for message in raised.value.errors), raised.value.errors


@pytest.mark.parametrize(("server", "wrong"), [("127.0.0.53", True), ("::1#53", True), ("127.0.0.1#5353", False)])
def test_a_resolver_that_would_ask_us_again_is_named(server: str, wrong: bool) -> None:
    variables = changed(("splitway_host_policy", POLICY), ("splitway_dns", {"servers": ["9.9.9.9", server]}))
    if not wrong:
        assert parse(variables).host_policy == POLICY
        return
    with pytest.raises(TopologyError, match=r"splitway_dns.servers\[1\]: .* would come back to it"):
        parse(variables)
