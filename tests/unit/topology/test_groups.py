# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups, on_down, health and the agent's settings: what operators write, and the mistakes that they make in it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import changed
from splitway.topology import TopologyError, parse
from splitway.topology.model import AgentSettings, Group, Health, Member, Probe

US, EU = "splitway_upstreams[0]", "splitway_upstreams[1]"
GROUPS = "splitway_upstream_groups"
FAST = f"{GROUPS}[0]"
HEALTH, PROBES = f"{US}.health", f"{US}.health.probes"
RULE = "splitway_policies.family.rules[0].egress"


def group(**keys: Any) -> dict[str, Any]:
    return {"name": "fast", "members": ["us", "eu"], **keys}


def test_groups_are_egresses() -> None:
    topology = parse(
        changed(
            (
                GROUPS,
                [
                    group(mode="balance", members=["us", {"upstream": "eu", "weight": 3}], on_down="near"),
                    {"name": "near", "mode": "latency", "members": ["eu"], "hold": "2m", "margin": 5},
                ],
            ),
            (f"{US}.on_down", "direct"),
            (f"{EU}.on_down", "fast"),  # a member's own fallback counts where rules name the member itself
            (RULE, "fast"),
            ("splitway_policies.family.default", "near"),
            ("splitway_clients[1].upstream", "fast"),
        )
    )
    assert topology.groups == (
        Group("fast", (Member("us"), Member("eu", 3)), "balance", "near"),
        Group("near", (Member("eu"),), "latency", hold=120, margin=5),
    )
    assert [upstream.on_down for upstream in topology.upstreams] == ["direct", "fast"]
    family, bob = topology.policies[0][1], topology.clients[1].policy
    assert (family.rules[0].egress, family.default, bob.rules[0].egress) == ("fast", "near", "fast")


def test_health_in_the_words_of_the_kernel() -> None:
    probes = [{"icmp": "9.9.9.9"}, {"tcp": "[2620:fe::fe]:443"}, {"dns": "10.64.0.1", "name": "Example.com."}]
    health = {"probes": probes, "interval": 0.25, "timeout": "0.2", "down": 2, "up": 5, "restart": "no"}
    assert parse(changed((HEALTH, health))).upstreams[0].health == Health(
        (
            Probe("icmp", ip_address("9.9.9.9")),
            Probe("tcp", ip_address("2620:fe::fe"), 443),
            Probe("dns", ip_address("10.64.0.1"), name="example.com"),
        ),
        interval=250,
        timeout=200,
        down=2,
        up=5,
        restart=False,
    )
    assert parse(changed((HEALTH, {"interval": 1}))).upstreams[0].health.timeout == 1000


@pytest.mark.parametrize(
    ("written", "settings"),
    [
        ({}, AgentSettings("127.0.0.1:9586", None, True)),
        ({"metrics": False, "access_log": False, "warm_up": False}, AgentSettings(None, None, False)),
        ({"metrics": True, "access_log": True}, AgentSettings("127.0.0.1:9586", 7)),
        ({"metrics": "[fd00::1]:9000", "access_log": {"days": 30}}, AgentSettings("[fd00::1]:9000", 30)),
        ({"metrics": "0.0.0.0:9586", "access_log": {}}, AgentSettings("0.0.0.0:9586", 7)),
    ],
)
def test_the_agent(written: dict[str, Any], settings: AgentSettings) -> None:
    assert parse(changed(("splitway_agent", written))).agent == settings


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        # Groups
        (GROUPS, "fast", f'{GROUPS}: "fast" is not a list'),
        (GROUPS, [group(membres=[])], f'{FAST}.membres: unknown key; did you mean "members"?'),
        (GROUPS, [{"members": ["us"]}], f"{FAST}.name: is required"),
        (GROUPS, [group(name="Direct")], f'{FAST}.name: "Direct" is an egress of its own, no group can have that name'),
        (GROUPS, [group(name="US")], f'{FAST}.name: "US" is already the name of {US}'),
        (GROUPS, [group(), group(name="Fast")], f'{GROUPS}[1].name: "Fast" is already the name of {FAST}'),
        (
            GROUPS,
            [group(mode="fail-over")],
            f'{FAST}.mode: "fail-over" is not a mode (failover or balance or latency); did you mean "failover"?',
        ),
        (GROUPS, [{"name": "fast"}], f"{FAST}.members: is required"),
        (GROUPS, [group(members=[])], f"{FAST}.members: is empty"),
        (GROUPS, [group(members="us")], f'{FAST}.members: "us" is not a list'),
        (GROUPS, [group(members=["us", "usa"])], f'{FAST}.members[1]: "usa" is not an upstream; did you mean "us"?'),
        (GROUPS, [group(members=["fast"])], f'{FAST}.members[0]: "fast" is not an upstream'),
        (GROUPS, [group(members=["direct"])], f'{FAST}.members[0]: "direct" is not an upstream'),
        (
            GROUPS,
            [group(members=["us", {"upstream": "us"}])],
            f'{FAST}.members[1]: "us" is already a member: {FAST}.members[0]',
        ),
        (
            GROUPS,
            [group(members=[{"upstream": "us", "weight": 2}])],
            f"{FAST}.members[0].weight: means nothing for failover, only for balance",
        ),
        (
            GROUPS,
            [group(mode="balance", members=[{"upstream": "us", "weight": 0}])],
            f"{FAST}.members[0].weight: 0 is not a weight (1-100)",
        ),
        (GROUPS, [group(margin=5)], f"{FAST}.margin: means nothing for failover, only for latency"),
        (GROUPS, [group(hold="soon")], f'{FAST}.hold: "soon" is not a time (seconds, or like "30m", "12h", "2d")'),
        # on_down
        (
            GROUPS,
            [group(on_down="mars")],
            f'{FAST}.on_down: "mars" is not an egress (direct, block, an upstream or a group)',
        ),
        (GROUPS, [group(on_down="eu")], f'{FAST}.on_down: "eu" is one of the members: it is down then, too'),
        (f"{US}.on_down", "us", f'{US}.on_down: leads back to itself: "us" > "us"'),
        # Health
        (HEALTH, "icmp", f'{HEALTH}: "icmp" is not a mapping'),
        (PROBES, [], f"{PROBES}: is empty: leave it out for the usual probes"),
        (PROBES, [{}], f"{PROBES}[0]: has no target: a probe has exactly one of icmp, tcp, dns"),
        (
            PROBES,
            [{"icmp": "9.9.9.9", "tcp": "9.9.9.9:1"}],
            f"{PROBES}[0]: has icmp and tcp: a probe has exactly one of icmp, tcp, dns",
        ),
        (PROBES, [{"icmp": "dns.quad9.net"}], f'{PROBES}[0].icmp: "dns.quad9.net" is not an address of a host'),
        (PROBES, [{"icmp": "127.0.0.1"}], f'{PROBES}[0].icmp: "127.0.0.1" is not an address of a host'),
        (
            PROBES,
            [{"tcp": "9.9.9.9"}],
            f'{PROBES}[0].tcp: "9.9.9.9" is not where a connection is made to (address:port): it has no port',
        ),
        (
            PROBES,
            [{"tcp": "example.com:443"}],
            (
                f'{PROBES}[0].tcp: "example.com:443" is not where a connection is made to (address:port): '
                '"example.com" is not an address'
            ),
        ),
        (PROBES, [{"dns": "9.9.9.9"}], f"{PROBES}[0].name: is required"),
        (PROBES, [{"icmp": "9.9.9.9", "name": "a.com"}], f"{PROBES}[0].name: means something for dns only"),
        (
            f"{EU}.health",
            {"probes": [{"icmp": "2620:fe::fe"}]},
            (
                f'{EU}.health.probes[0]: "2620:fe::fe" is not reached through this upstream: '
                "see its addresses and allowed_ips"
            ),
        ),
        (HEALTH, {"interval": 0.1}, f"{HEALTH}.interval: 0.1 is not an interval (0.2-3600 seconds)"),
        (HEALTH, {"interval": True}, f"{HEALTH}.interval: true is not an interval (0.2-3600 seconds)"),
        (HEALTH, {"interval": float("nan")}, f"{HEALTH}.interval: NaN is not an interval (0.2-3600 seconds)"),
        (HEALTH, {"timeout": 3}, f"{HEALTH}.timeout: 3 is longer than interval (2 s)"),
        (HEALTH, {"down": 0}, f"{HEALTH}.down: 0 is not a number of rounds (1-100)"),
        # The agent
        (
            "splitway_agent",
            {"metrics": "9586"},
            'splitway_agent.metrics: "9586" is not where metrics are served (address:port): it has no port',
        ),
        (
            "splitway_agent",
            {"access_log": "7d"},
            'splitway_agent.access_log: "7d" is not an access log (false, or like {days: 7})',
        ),
        (
            "splitway_agent",
            {"access_log": {"days": 0}},
            "splitway_agent.access_log.days: 0 is not a number of days (1-3650)",
        ),
        ("splitway_agent", {"warmup": True}, 'splitway_agent.warmup: unknown key; did you mean "warm_up"?'),
    ],
)
def test_mistakes(path: str, value: Any, error: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse(changed((HEALTH, {}), (path, value)))
    assert caught.value.errors == (error,)


def test_a_circle_of_fallbacks_is_told_once() -> None:
    circle = changed(
        (f"{US}.on_down", "fast"), (GROUPS, [group(members=["eu"], on_down="us")]), (f"{EU}.on_down", "fast")
    )
    with pytest.raises(TopologyError) as caught:
        parse(circle)
    assert caught.value.errors == (f'{US}.on_down: leads back to itself: "us" > "fast" > "us"',)


def test_groups_need_numbers_too() -> None:
    small = changed((GROUPS, [group()]), ("splitway_mark_mask", "0xff"), ("splitway_table_base", 124))
    with pytest.raises(TopologyError, match="124 and 2 upstreams and 3 numbers of groups, members and fallbacks need"):
        parse(small)
