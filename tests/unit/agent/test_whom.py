# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the agent asks: as our dnsmasq does, whatever the topology, and never outside of a name's tunnel."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Optional

from splitway.agent.names.servers import Server, server
from splitway.agent.names.whom import Way, Whom, own_mark, usual, way
from splitway.choices import Choice, with_choices
from splitway.compiler import compile_state
from splitway.state import State, exempt_mark
from splitway.state import Way as GroupWay
from splitway.system import System
from splitway.topology import parse

TUNNEL = {"endpoint": "192.0.2.9:51820", "public_key": "3CWDiHvYvXBr6AdVvELbKUdYUNeWBM3sXrvhiY1zDAk="}


def compiled(**more: Any) -> State:
    variables = {
        "splitway_server": {"addresses": ["10.8.0.1/16"]},
        "splitway_upstreams": [
            {
                "name": "us",
                "addresses": ["10.91.0.1"],
                "resolvers": ["1.1.1.1", "9.9.9.9"],
                "on_down": "direct",
                **TUNNEL,
            },
            {"name": "eu", "addresses": ["10.92.0.1"], **TUNNEL},
        ],
        "splitway_upstream_groups": [{"name": "both", "members": ["eu", "us"], "resolvers": ["8.8.8.8"]}],
        "splitway_lists": {
            "video": {"domains": ["video.example"], "pin": True},
            "news": {"domains": ["news.example"], "pin": True},
            "blocked": {"domains": ["ads.example"], "pin": True},
            "unused": {"domains": ["unused.example"], "pin": True},
        },
        "splitway_policies": {
            "plain": {"rules": [{"list": "video", "egress": "direct"}, {"list": "blocked", "egress": "block"}]},
            "tunnels": {
                "rules": [
                    {"domain": "home.video.example", "egress": "direct"},
                    {"list": "video", "egress": "us"},
                    {"list": "news", "egress": "both"},
                ]
            },
        },
        "splitway_clients": [
            {"name": "a", "addresses": ["10.8.0.2"], "policy": "plain"},
            {"name": "b", "addresses": ["10.8.0.3"], "policy": "tunnels"},
        ],
        "splitway_dns": {"servers": ["192.0.2.53", "192.0.2.54#5353"]},
        **more,
    }
    return compile_state(parse(variables), {})


def whom(state: State, host: Optional[Path] = None) -> Whom:
    assert state.dns is not None
    system = System()
    system.root = host or system.root
    return Whom(state.dns, usual(system, state))


def test_names_are_asked_where_dnsmasq_asks_them() -> None:
    asked = whom(compiled())
    us = (Server("1.1.1.1", interface="wg-up-1"), Server("9.9.9.9", interface="wg-up-1"))
    usual_ones = (Server("192.0.2.53"), Server("192.0.2.54", 5353))
    assert asked.servers("video.example") == us
    assert asked.servers("cdn.video.example") == us
    assert asked.servers("home.video.example") == usual_ones
    assert asked.servers("myvideo.example") == usual_ones
    assert asked.servers("news.example") == (Server("8.8.8.8", interface="wg-up-2"),)
    assert asked.servers("use-application-dns.net") == ()
    assert [item.name for item in asked.items(["use-application-dns.net", "nas", "news.example"], (4,))] == [
        "news.example"
    ]


def test_a_choice_of_the_agents_takes_the_names_along() -> None:
    state = compiled()
    us, both = state.numbers["egress:us"], state.numbers["egress:both"]
    member = state.numbers["egress:both/us"]
    chosen = with_choices(state, {us: Choice((GroupWay(us),), direct=True), both: Choice((GroupWay(member),))})
    assert whom(chosen).servers("video.example") == (Server("192.0.2.53"), Server("192.0.2.54", 5353))
    assert whom(chosen).servers("news.example") == (Server("8.8.8.8", interface="wg-up-1"),)
    assert (way(state, us), way(state, both)) == (Way("wg-up-1"), Way("wg-up-2"))
    assert (way(chosen, us), way(chosen, both)) == (Way(), Way("wg-up-1"))


def test_addresses_are_tried_in_the_tunnel_where_a_rule_leads_there() -> None:
    state = compiled()
    assert state.agent is not None
    found = {name: part.egress for part in state.agent.resolving.pinned for name in part.names}
    assert found == {"video.example": state.numbers["egress:us"], "news.example": state.numbers["egress:both"]}
    assert state.dns is not None
    assert state.dns.pinned_ttl == 5
    unpinned = compiled(splitway_lists={"video": {"domains": ["video.example"]}, "news": {}, "blocked": {}})
    assert unpinned.dns is not None
    assert unpinned.dns.pinned_ttl is None


def test_block_is_no_way() -> None:
    state = compiled()
    assert way(state, 100) is None
    assert way(state, 8191) is None
    assert way(state, 0) == Way()


def test_the_gateways_own_policy_does_not_concern_the_agent() -> None:
    state = compiled(splitway_host_policy="tunnels")
    assert state.marks is not None
    assert own_mark(compiled()) == 0
    assert own_mark(state) == exempt_mark(state.marks.mask) != 0
    assert way(state, 0) == Way(mark=own_mark(state))


def test_the_usual_resolvers_are_dnsmasqs(tmp_path: Path) -> None:
    assert whom(compiled(splitway_resolving={"servers": ["192.0.2.99"]})).usual == (Server("192.0.2.99"),)
    tls = compiled(splitway_dns={"servers": ["tls://9.9.9.9#dns.example"]})
    assert whom(tls).usual == (server("127.0.0.83#5383"),)
    (tmp_path / "etc").mkdir()
    assert whom(compiled(splitway_dns={}), tmp_path).usual == ()
    text = "search x\nnameserver 10.8.0.1\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n"
    (tmp_path / "etc/resolv.conf").write_text(text)
    assert whom(compiled(splitway_dns={}), tmp_path).usual == (Server("192.0.2.1"),), "not we ourselves"
    host = compiled(splitway_dns={}, splitway_host_policy="tunnels")
    (tmp_path / "etc/resolv.conf").write_text("nameserver 127.0.0.53\n")
    assert whom(host, tmp_path).usual == ()
    (tmp_path / "run/systemd/resolve").mkdir(parents=True)
    (tmp_path / "run/systemd/resolve/resolv.conf").write_text("nameserver 192.0.2.7\n")
    assert whom(host, tmp_path).usual == (Server("192.0.2.7"),)


def test_nobody_is_asked_without_names() -> None:
    state = dataclasses.replace(compiled(), dns=None)
    assert usual(System(), state) == ()
