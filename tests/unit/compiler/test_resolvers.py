# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom names are asked at: by the rules, for all clients alike, and never outside of the tunnel they belong to."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.choices import Choice, with_choices
from splitway.compiler import CompileError, compile_state
from splitway.reconcile.dns.text import binds, names_text, options_text
from splitway.state import Dns, State, Way, from_data, to_data
from splitway.topology import TopologyError, parse

KEY = "3CWDiHvYvXBr6AdVvELbKUdYUNeWBM3sXrvhiY1zDAk="
BOTH = ["10.64.0.2", "fd64::2"]


def topology(*policies: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return variables with a client for each policy's rules; us and eu have resolvers, jp has none."""
    tunnel = {"endpoint": "192.0.2.9:51820", "public_key": KEY, "addresses": BOTH}
    return {
        "splitway_server": {"addresses": ["10.8.0.1/16"]},
        "splitway_upstreams": [
            {"name": "us", "resolvers": ["1.1.1.1"], **tunnel},
            {"name": "eu", "resolvers": ["9.9.9.9", "2620:fe::9"], **tunnel},
            {"name": "jp", **tunnel},
        ],
        "splitway_lists": {"video": {"domains": ["video.example", "a.tube.example", "tube.example"]}},
        "splitway_policies": {f"p{index}": {"rules": rules} for index, rules in enumerate(policies)},
        "splitway_clients": [
            {"name": f"c{index}", "addresses": [f"10.8.0.{index + 2}"], "policy": f"p{index}"}
            for index in range(len(policies))
        ],
        **more,
    }


def compiled(*policies: list[dict[str, Any]], **more: Any) -> State:
    return compile_state(parse(topology(*policies, **more)), {})


def asked(state: State) -> dict[str, tuple[str, ...]]:
    """Return domain → servers."""
    assert state.dns
    return {domain: forward.servers for forward in state.dns.forwards for domain in forward.domains}


def domain(name: str, egress: str, **more: Any) -> dict[str, Any]:
    return {"domain": name, "egress": egress, **more}


VIDEO = {"list": "video", "egress": "us"}


def test_names_are_asked_through_the_tunnel_that_their_rule_leads_to() -> None:
    state = compiled(
        [VIDEO, domain("news.example", "eu"), domain("plain.example", "jp"), domain("ads.example", "block")]
    )
    assert asked(state) == {
        "video.example": ("1.1.1.1@wg-up-1",),
        "tube.example": ("1.1.1.1@wg-up-1",),
        "news.example": ("9.9.9.9@wg-up-2", "2620:fe::9@wg-up-2"),
    }


def test_an_exit_is_found_before_its_tunnel_is_there() -> None:
    """The gateway, with a policy of its own, asks our dnsmasq where it is."""
    upstreams = topology()["splitway_upstreams"]
    upstreams[0]["endpoint"], upstreams[1]["endpoint"] = "Exit.video.example:51820", "[2001:db8::1]:51820"
    names = {**topology()["splitway_lists"], "video": {"domains": ["video.example"]}}
    here = compiled([VIDEO], splitway_upstreams=upstreams, splitway_lists=names)
    assert asked(here) == {"video.example": ("1.1.1.1@wg-up-1",)}
    own = compiled([VIDEO], splitway_upstreams=upstreams, splitway_lists=names, splitway_host_policy="p0")
    assert asked(own) == {"video.example": ("1.1.1.1@wg-up-1",), "exit.video.example": ("#",)}


def test_the_server_of_a_websocket_is_found_before_the_tunnel_that_it_carries_is_there() -> None:
    upstreams = topology()["splitway_upstreams"]
    servers = ["wss://Relay.video.example", "wss://203.0.113.7:8443", "wss://[2001:db8::7]", "wss://r2.video.example"]
    upstreams[0] |= {"transport": "auto", "websocket": {"servers": servers, "path": "not-for-everybody"}}
    names = {"video": {"domains": ["video.example"]}}
    state = compiled([VIDEO], splitway_upstreams=upstreams, splitway_lists=names, splitway_host_policy="p0")
    assert asked(state) == {
        "video.example": ("1.1.1.1@wg-up-1",),
        "relay.video.example": ("#",),
        "r2.video.example": ("#",),
    }


def test_without_resolvers_nothing_is_split() -> None:
    variables = topology([VIDEO])
    del variables["splitway_upstreams"][0]["resolvers"], variables["splitway_upstreams"][1]["resolvers"]
    state = compile_state(parse(variables), {})
    assert state.dns
    assert state.dns.forwards == ()
    assert not binds(state.dns)
    assert all(rule.source is None for rule in state.routes.rules)


def test_resolvers_of_all_that_is_proxied_are_for_those_without_their_own() -> None:
    dns = {"proxied": ["8.8.8.8"], "direct": ["192.168.1.1"]}
    state = compiled([VIDEO, domain("plain.example", "jp"), domain("home.example", "direct")], splitway_dns=dns)
    assert asked(state)["video.example"] == ("1.1.1.1@wg-up-1",)
    assert asked(state)["plain.example"] == ("8.8.8.8@wg-up-3",)
    assert asked(state)["home.example"] == ("192.168.1.1",)


@pytest.mark.parametrize(
    ("rules", "child"),
    [
        ([domain("www.video.example", "direct"), VIDEO], ("#",)),  # written first: it is direct
        ([VIDEO, domain("www.video.example", "direct")], None),  # too late
        ([domain("www.video.example", "eu"), VIDEO], ("9.9.9.9@wg-up-2", "2620:fe::9@wg-up-2")),
        ([domain("www.video.example", "jp"), VIDEO], ("#",)),
        ([domain("www.video.example", "block"), VIDEO], None),  # nobody gets there, and nobody is to hear of it
        ([domain("www.video.example", "direct", port=22), VIDEO], None),  # a part of it is seen by the tunnel only
        ([domain("www.video.example", "us", port=443), domain("www.video.example", "direct"), VIDEO], None),
    ],
)
def test_the_first_rule_that_holds_a_name_or_its_parent_decides(
    rules: list[dict[str, Any]], child: Optional[tuple[str, ...]]
) -> None:
    found = asked(compiled(rules))
    assert found["video.example"] == ("1.1.1.1@wg-up-1",)
    assert found.get("www.video.example") == child


def test_a_name_that_one_policy_proxies_is_asked_through_the_tunnel_for_all() -> None:
    direct, plain = [{"list": "video", "egress": "direct"}], [{"list": "video", "egress": "jp"}]
    blocked = [{"list": "video", "egress": "block"}]
    for others in ([direct, [VIDEO]], [[VIDEO], direct], [plain, blocked, [VIDEO]]):
        assert asked(compiled(*others))["video.example"] == ("1.1.1.1@wg-up-1",)


def test_policies_that_disagree_are_named_with_the_name_and_the_remedy() -> None:
    with pytest.raises(CompileError) as caught:
        compiled([VIDEO], [domain("video.example", "eu")])
    message = str(caught.value)
    assert message.startswith(
        "video.example: policy p0 (list video) asks 1.1.1.1 through us, "
        "policy p1 (its own rules) asks 9.9.9.9, 2620:fe::9 through eu: "
    )
    assert "resolvers: {servers: […], egress: …}" in message
    with pytest.raises(CompileError, match=r"asks 192\.168\.1\.1 directly"):
        compiled([VIDEO], [{"list": "video", "egress": "direct"}], splitway_dns={"direct": ["192.168.1.1"]})


def test_a_list_settles_for_all_policies_and_everything_below() -> None:
    lists = {"video": {"domains": ["video.example"], "resolvers": {"servers": ["8.8.4.4"], "egress": "us"}}}
    state = compiled([VIDEO], [domain("video.example", "eu")], [domain("a.video.example", "eu")], splitway_lists=lists)
    assert asked(state) == {"video.example": ("8.8.4.4@wg-up-1",)}
    lists["video"]["resolvers"] = {"servers": ["8.8.4.4"], "egress": "direct"}
    assert asked(compiled([VIDEO], splitway_lists=lists)) == {"video.example": ("8.8.4.4",)}


def test_a_lists_resolvers_are_asked_through_the_egress_of_the_rules() -> None:
    lists = {"video": {"domains": ["video.example"], "resolvers": ["8.8.4.4"]}}
    assert asked(compiled([VIDEO], splitway_lists=lists)) == {"video.example": ("8.8.4.4@wg-up-1",)}
    direct = compiled([{"list": "video", "egress": "direct"}], splitway_lists=lists)
    assert asked(direct) == {"video.example": ("8.8.4.4",)}


def test_two_lists_that_settle_one_name_otherwise_are_named() -> None:
    lists = {
        name: {"domains": ["video.example"], "resolvers": {"servers": [server], "egress": "us"}}
        for name, server in (("video", "8.8.4.4"), ("films", "8.8.8.8"))
    }
    with pytest.raises(CompileError, match=r"list video asks 8\.8\.4\.4 through us, list films asks 8\.8\.8\.8"):
        compiled([VIDEO, {"list": "films", "egress": "us"}], splitway_lists=lists)


def test_what_is_switched_off_or_has_no_such_family_is_asked_nowhere() -> None:
    variables = topology([VIDEO, domain("news.example", "eu")])
    variables["splitway_upstreams"][0]["enabled"] = False
    variables["splitway_upstreams"][1] |= {"addresses": ["10.64.0.2"], "resolvers": ["9.9.9.9"]}
    state = compile_state(parse(variables), {})
    assert state.dns
    assert asked(state)["video.example"] == ()
    assert "server=/tube.example/video.example/\n" in names_text(state.dns)
    assert asked(state)["news.example"] == ("9.9.9.9@wg-up-2",)


def test_resolvers_that_no_packet_reaches_are_named() -> None:
    variables = topology([domain("plain.example", "jp")], splitway_dns={"proxied": ["2620:fe::9"]})
    variables["splitway_upstreams"][2] |= {"addresses": ["10.64.0.2"]}
    with pytest.raises(CompileError, match=r"plain\.example is to be asked at 2620:fe::9 through jp, but jp"):
        compile_state(parse(variables), {})
    groups = [{"name": "fast", "members": ["us", "jp"], "resolvers": ["10.1.0.53"]}]
    variables = topology([domain("plain.example", "fast")], splitway_upstream_groups=groups)
    variables["splitway_upstreams"][2] |= {"allowed_ips": ["198.51.100.0/24"]}
    with pytest.raises(CompileError, match=r"asked at 10\.1\.0\.53 through fast, but jp reaches none"):
        compile_state(parse(variables), {})


def test_a_list_may_be_asked_through_a_group_that_no_rule_leads_to() -> None:
    lists = {"video": {"domains": ["video.example"], "resolvers": {"servers": ["8.8.4.4"], "egress": "fast"}}}
    groups = [{"name": "fast", "members": ["eu", "us"]}]
    state = compiled([VIDEO], splitway_lists=lists, splitway_upstream_groups=groups)
    assert asked(state) == {"video.example": ("8.8.4.4@wg-up-2",)}


def test_a_groups_names_follow_its_flows() -> None:
    groups = [{"name": "fast", "members": ["us", "eu"], "resolvers": ["8.8.8.8"], "on_down": "direct"}]
    state = compiled([domain("video.example", "fast")], splitway_upstream_groups=groups)
    numbers = {name: state.numbers[f"egress:{name}"] for name in ("fast", "fast/us", "fast/eu")}
    assert asked(state) == {"video.example": ("8.8.8.8@wg-up-1",)}

    def chosen(*names: str, direct: bool = False) -> tuple[str, ...]:
        choice = Choice(tuple(Way(numbers[name]) for name in names), direct)
        return asked(with_choices(state, {numbers["fast"]: choice}))["video.example"]

    assert chosen("fast/eu") == ("8.8.8.8@wg-up-2",)
    assert chosen("fast/us", "fast/eu") == ("8.8.8.8@wg-up-1", "8.8.8.8@wg-up-2")
    assert chosen("fast", direct=True) == ("#",)
    assert chosen("fast") == ("8.8.8.8@wg-up-1",), "all are down, and it is not let out: as it was"


def test_with_another_upstream_for_when_it_is_down_that_is_asked_through_then() -> None:
    variables = topology([VIDEO])
    variables["splitway_upstreams"][0]["on_down"] = "jp"
    variables["splitway_upstreams"][2]["on_down"] = "direct"
    state = compile_state(parse(variables), {})
    us, jp = (state.numbers[f"egress:{name}"] for name in ("us", "jp"))
    assert asked(state)["video.example"] == ("1.1.1.1@wg-up-1",)
    moved = {us: Choice((Way(jp),))}
    assert asked(with_choices(state, moved))["video.example"] == ("1.1.1.1@wg-up-3",)
    both_down = {us: Choice((Way(jp),)), jp: Choice((Way(jp),), direct=True)}
    assert asked(with_choices(state, both_down))["video.example"] == ("#",)
    only_jp = {us: Choice((Way(us),)), jp: Choice((Way(jp),), direct=True)}
    assert asked(with_choices(state, only_jp))["video.example"] == ("1.1.1.1@wg-up-1",)


NAMES = ["a.example", "b.a.example", "c.b.a.example", "d.example", "x.d.example"]
EGRESSES = ["us", "eu", "jp", "direct", "block"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(EGRESSES)), min_size=1, max_size=6))
def test_dnsmasqs_longest_line_says_what_the_first_rule_says(rules: list[tuple[str, str]]) -> None:
    found = asked(compiled([domain(name, egress) for name, egress in rules]))
    servers = {"us": ("1.1.1.1@wg-up-1",), "eu": ("9.9.9.9@wg-up-2", "2620:fe::9@wg-up-2")}
    for name in (*NAMES, "z.c.b.a.example", "example"):
        parents = [name.split(".", depth)[-1] for depth in range(name.count(".") + 1)]
        line = next((found[parent] for parent in parents if parent in found), ("#",))
        way = next((egress for held, egress in rules if held in parents and egress != "block"), "")
        assert line == servers.get(way, ("#",)), (name, rules)


def test_long_lists_share_lines_that_dnsmasq_takes_whole() -> None:
    lists = {"video": {"domains": [f"{'long-' * 9}{number}.example" for number in range(300)]}}
    state = compiled([VIDEO], splitway_lists=lists)
    assert state.dns
    lines = [line for line in names_text(state.dns).splitlines() if line.startswith("server=")]
    assert 15 <= len(lines) < 30
    assert all(len(line) <= 1024 and line.endswith("/1.1.1.1@wg-up-1") for line in lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splitway_dns": {"servers": ["10.8.0.1"]}}, 'splitway_dns.servers[0]: "10.8.0.1" is the gateway itself'),
        ({"splitway_dns": {"servers": ["tls://10.8.0.1#x.example"]}}, "is the gateway itself"),
        ({"splitway_dns": {"direct": ["10.8.0.1#53"]}}, 'splitway_dns.direct[0]: "10.8.0.1#53" is the gateway itself'),
        ({"splitway_dns": {"proxied": ["127.0.0.1"]}}, 'splitway_dns.proxied[0]: "127.0.0.1" is this host itself'),
        ({"splitway_dns": {"servers": ["tls://1.1.1.1"]}}, "the name is that of the server's certificate"),
        ({"splitway_dns": {"servers": ["tls://1.1.1.1@853x#a.example"]}}, '"853x" is not a port'),
        ({"splitway_dns": {"servers": ["tls://cloudflare#a.example"]}}, '"cloudflare" is not an address'),
        (
            {"splitway_dns": {"servers": ["tls://1.1.1.1#one.one.one.one", "8.8.8.8"]}},
            'splitway_dns.servers: "8.8.8.8" would be asked in the clear beside those of tls://',
        ),
        (
            {"splitway_lists": {"video": {"resolvers": {"servers": ["1.1.1.1"], "egress": "uss"}}}},
            'splitway_lists.video.resolvers.egress: "uss" is not an egress',
        ),
        ({"splitway_lists": {"video": {"resolvers": {"servers": ["1.1.1.1"], "egress": "block"}}}}, "a rule blocks"),
        ({"splitway_lists": {"video": {"resolvers": {"egress": "us"}}}}, "resolvers.servers: is required"),
        ({"splitway_lists": {"video": {"resolvers": ["10.8.0.1"]}}}, "splitway_lists.video.resolvers[0]: "),
        (
            {"splitway_upstream_groups": [{"name": "g", "members": ["us"], "resolvers": ["x"]}]},
            "groups[0].resolvers[0]",
        ),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse(topology([VIDEO], **change))
    assert message in str(caught.value)


def test_a_resolver_that_a_tunnel_does_not_reach_is_named() -> None:
    variables = topology([VIDEO])
    variables["splitway_upstreams"][0] |= {"addresses": ["10.64.0.2"], "resolvers": ["2620:fe::9"]}
    with pytest.raises(
        TopologyError, match=r'\[0\]\.resolvers\[0\]: "2620:fe::9" is not reached through this upstream'
    ):
        parse(variables)


def test_tls_is_read_with_its_usual_port() -> None:
    servers = ["tls://1.1.1.1#cloudflare-dns.com", "tls://2620:fe::9@8853#Dns.Quad9.net"]
    state = compiled([VIDEO], splitway_dns={"servers": servers})
    assert state.dns
    assert state.dns.tls == ("1.1.1.1@853#cloudflare-dns.com", "2620:fe::9@8853#dns.quad9.net")
    assert options_text(state.dns, None).endswith("no-resolv\nserver=127.0.0.83#5383\n")


def test_the_guards_switches() -> None:
    def text(**guard: bool) -> list[str]:
        state = compiled([VIDEO], splitway_dns_guard=guard)
        assert state.dns
        return options_text(state.dns, None).splitlines()

    for canary in ("use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"):
        assert f"local=/{canary}/" in text()
        assert f"local=/{canary}/" not in text(canary=False)
    assert "filter-rr=HTTPS,SVCB" in text()
    assert not [line for line in text(filter_https=False) if line.startswith("filter-rr")]
    assert "local=/dns.google/" not in text()
    assert "local=/dns.google/" in text(refuse_doh=True)
    aaaa = compiled([VIDEO], splitway_dns={"filter_aaaa": True})
    assert aaaa.dns
    assert "filter-rr=HTTPS,SVCB,AAAA" in options_text(aaaa.dns, None)


def test_the_section_survives_being_kept() -> None:
    groups = [{"name": "fast", "members": ["us", "eu"], "resolvers": ["8.8.8.8"], "on_down": "direct"}]
    state = compiled([domain("video.example", "fast")], splitway_upstream_groups=groups)
    assert state.dns
    assert state.dns.forwards[0].ways
    assert from_data(Dns, to_data(state.dns)) == state.dns
