# SPDX-License-Identifier: GPL-3.0-or-later
"""Explanations of a topology from the field, against the operator's rules, and of whatever somebody types."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any, Optional

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.compiler.test_compile import (
    ADDRESSES,
    NAMES,
    answers,
    learn,
    oracle,
    topologies,
)
from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT, key
from splitway.choices import Choice, with_choices
from splitway.compiler import compile_state
from splitway.explain import NOTHING_KNOWN, Decision, ExplainError, Facts, Hop, Resolved, explain
from splitway.explain.subject import missing_client
from splitway.explain.text import WIDTH, explanation_text
from splitway.state import PortRange, State, Way, to_data
from splitway.topology import parse
from splitway.transports import Carried, with_transports

UPSTREAM = {"endpoint": "198.51.100.1:51820", "addresses": ["10.64.0.2/32", "fd64::2/128"]}
FIELD: dict[str, Any] = {
    "splitway_server": RIGHT["splitway_server"],
    "splitway_upstreams": [
        {"name": "us", "public_key": key("us"), **UPSTREAM},
        {"name": "eu", "public_key": key("eu"), **UPSTREAM, "addresses": ["10.65.0.2/32", "fd65::2/128"]},
        {"name": "spare", "public_key": key("spare"), **UPSTREAM, "addresses": ["10.66.0.2/32"], "enabled": False},
        {"name": "legacy", "public_key": key("legacy"), **UPSTREAM, "addresses": ["10.67.0.2/32"]},
        {"name": "home", "public_key": key("home"), **UPSTREAM, "addresses": ["10.68.0.2/32"], "on_down": "direct"},
    ],
    "splitway_upstream_groups": [
        {"name": "any", "mode": "balance", "members": ["us", {"upstream": "eu", "weight": 3}], "on_down": "legacy"},
        {"name": "first", "mode": "failover", "members": ["us", "eu"]},
        {"name": "off", "mode": "failover", "members": ["spare"]},
    ],
    "splitway_lists": {
        "google": {"domains": ["google.com", "googleapis.com"], "networks": ["198.51.100.128/28"]},
        "video": {"domains": ["youtube.com", "googleapis.com"], "networks": ["198.51.100.136/29"]},
    },
    "splitway_policies": {
        "family": {
            "rules": [
                {"domain": "maps.google.com", "egress": "direct"},
                {"domain": "ads.example", "egress": "block"},
                {"network": "10.1.0.0/16", "egress": "us"},
                {"list": "google", "egress": "us"},
                {"list": "video", "egress": "eu"},
                {"domain": "paused.example", "egress": "spare"},
                {"domain": "legacy.example", "egress": "legacy"},
                {"domain": "any.example", "egress": "any"},
                {"domain": "first.example", "egress": "first"},
                {"domain": "off.example", "egress": "off"},
                {"domain": "home.example", "egress": "home"},
            ],
            "default": "direct",
        }
    },
    "splitway_clients": [
        {
            "name": "alice",
            "addresses": ["10.8.0.2", "fdcc:ad94:bacf:61a4::2"],
            "public_key": key("a"),
            "policy": "family",
        },
        {"name": "bob", "addresses": ["10.8.0.3"], "public_key": key("b"), "policy": "family"},
    ],
}


@pytest.fixture(params=["ipset", "nftables"])
def state(request: pytest.FixtureRequest) -> State:
    return field(request.param)


def field(backend: str = "ipset") -> State:
    return compile_state(parse(copy.deepcopy({**FIELD, "splitway_backend": backend})), {})


def host(state: State, answered: dict[str, list[str]], name: Optional[str] = None) -> Facts:
    """What a gateway knows after dnsmasq has given these answers; `name`: what is asked for now."""
    learned = learn(state, answered)
    resolved = None if name is None else Resolved(tuple(answered.get(name, ())))
    return Facts(resolved, holds=lambda entry, address: address in learned.get(entry, ()))


def told(state: State, to: str, facts: Facts = NOTHING_KNOWN, client: str = "alice") -> str:
    """Return the text in one line: what people read, without its line breaks."""
    return " ".join(explanation_text(explain(state, client, to, facts)).split())


def only(state: State, to: str, facts: Facts = NOTHING_KNOWN, client: str = "alice") -> Decision:
    (decision,) = explain(state, client, to, facts).decisions
    return decision


def parts(decision: Decision) -> list[tuple[str, str, str]]:
    return [(step.words, step.egress, step.part) for step in decision.rules if step.part != "passed"]


def test_the_first_rule_decides_and_hides_the_later_ones(state: State) -> None:
    names = {"maps.google.com": ["203.0.113.1"], "www.googleapis.com": ["203.0.113.2", "198.51.100.137"]}
    decision = only(state, "maps.google.com", host(state, names, "maps.google.com"))
    assert parts(decision) == [("own rules", "direct", "decides"), ("list google", "us", "hidden")]
    assert (decision.paths[0].mark, decision.paths[0].table) == ("0x2000", None)
    first, second = explain(state, "alice", "www.googleapis.com", host(state, names, "www.googleapis.com")).decisions
    assert parts(first) == parts(second) == [("list google", "us", "decides"), ("list video", "eu", "hidden")]
    by = [[entry.by for entry in step.sets if entry.holds] for step in second.rules if step.part != "passed"]
    assert by == [["googleapis.com", "198.51.100.128/28"], ["googleapis.com", "198.51.100.136/29"]]
    path = first.paths[0]
    assert (path.egress, path.mark, path.priority, path.table, path.interface) == ("us", "0x2065", 5030, 101, "wg-up-1")


def test_an_address_that_two_names_share_takes_the_earlier_rule(state: State) -> None:
    shared = host(state, {"ads.example": ["203.0.113.1"], "youtube.com": ["203.0.113.1"]}, "youtube.com")
    assert "own rules → block: decides (learned, set sw4d" in (text := told(state, "youtube.com", shared))
    assert "by another name, which shares the address) list video → eu: hidden by it (learned for youtube.com" in text
    alone = host(state, {"youtube.com": ["203.0.113.1"]}, "youtube.com")
    assert "shares" not in told(state, "youtube.com", alone)
    assert "shares" not in told(state, "203.0.113.1", shared)  # nobody said which name was meant


def test_an_inventory_leaves_open_what_it_cannot_know(state: State) -> None:
    text = told(state, "maps.google.com")
    assert "own rules → direct: decides (learned for maps.google.com, set sw4d" in text
    assert "list google → us: hidden by it (learned for google.com, set sw4d" in text
    assert "unless" not in text
    networks = told(state, "paused.example")
    assert "unless an earlier one holds it, which cannot be known here: list google → us, list video → eu" in networks
    names = told(state, "198.51.100.137")
    assert "unless an earlier one holds it, which cannot be known here: own rules → direct, own rules → block" in names


def test_a_name_whose_set_was_emptied_or_is_gone_is_told(state: State) -> None:
    emptied = Facts(Resolved(("203.0.113.1",)), holds=lambda *_: False)
    text = told(state, "m.youtube.com", emptied)
    assert "no rule holds it: the default, direct" in text
    assert "list video has the name, by youtube.com, but sw4d" in text
    gone = Facts(Resolved(("203.0.113.1",)), holds=lambda *_: None)
    assert "is missing in the kernel: run site.yml" in told(state, "m.youtube.com", gone)


@pytest.mark.parametrize(
    ("to", "egress", "why"),
    [
        ("10.1.2.3", "us", None),  # a network rule inside a special range
        ("10.2.2.3", "direct", None),
        ("fd99::1", "direct", None),
        ("169.254.169.254", "block", "cloud metadata is the gateway's own"),
        ("ads.example", "block", "its egress is block"),
        ("paused.example", "spare", "upstream spare is disabled"),
        ("legacy.example", "legacy", "upstream legacy has no IPv6 address"),
        ("off.example", "off", "no member of group off is up"),
        ("example.org", "direct", None),
        ("::ffff:198.51.100.129", "us", None),
        ("203.0.113.9", "direct", None),
    ],
)
def test_ways_and_why_nothing_leaves(state: State, to: str, egress: str, why: Optional[str]) -> None:
    decision = explain(state, "alice", to).decisions[-1]  # of a name: IPv6, which has no networks here
    assert decision.egress == egress
    assert (decision.blocked or "").startswith(why or "\0") if why else decision.blocked is None


def test_the_gateway_itself_is_reached_by_whatever_mark(state: State) -> None:
    assert "leaves to the gateway itself" in told(state, "10.8.0.1")
    local = Facts(holds=lambda *_: False, route=lambda *_: Hop("lo", local=True))
    assert only(state, "203.0.113.80", local).paths[0].next_hop == "the gateway itself"


def test_who_asks(state: State) -> None:
    assert explain(state, "10.8.0.3", "10.2.2.3").client == "bob"
    assert only(state, "2001:db8::1", client="bob").blocked == "bob has no IPv6 address on this gateway"
    assert "no client has the address 10.8.0.77" in told(state, "203.0.113.9", client="10.8.0.77")
    with pytest.raises(ExplainError, match='"alcie" is no client of this gateway; did you mean alice'):
        explain(state, "alcie", "example.org")
    with pytest.raises(ExplainError, match=r"it has alice, bob$"):
        explain(state, "zoe", "example.org")
    with pytest.raises(ExplainError, match=r"run site\.yml"):
        explain(State(), "alice", "example.org")


@pytest.mark.parametrize("asked", ["alice", "bob", "10.8.0.3", "fdcc:ad94:bacf:61a4::2", "192.168.1.20"])
def test_whom_a_gateway_knows(asked: str) -> None:
    lan = {
        "splitway_lan_clients": [
            {"name": "home", "interface": "eth1", "networks": ["192.168.1.0/24"], "policy": "family"}
        ]
    }
    assert missing_client(compile_state(parse({**FIELD, **lan}), {}), asked) == ""


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("alcie", '"alcie" is no client of this gateway; did you mean alice?'),
        ("host", '"host" is no client of this gateway: it has alice, bob'),
        ("10.8.0.77", '"10.8.0.77" is no client\'s address on this gateway: the guard refuses what comes from there'),
    ],
)
def test_whom_it_does_not_know(state: State, asked: str, why: str) -> None:
    assert missing_client(state, asked) == why


def chosen(state: State, egress: str, *ways: str, direct: bool = False) -> State:
    number = state.numbers[f"egress:{egress}"]
    return with_choices(state, {number: Choice(tuple(Way(state.numbers[f"egress:{way}"]) for way in ways), direct)})


def test_groups_and_what_is_in_force_when_they_are_down(state: State) -> None:
    (share, rest) = explain(state, "bob", "any.example").decisions[0].paths
    assert [(path.egress, path.share, path.interface) for path in (share, rest)] == [
        ("any/us", 25, "wg-up-1"),
        ("any/eu", 75, "wg-up-2"),
    ]
    assert "first (1" in (text := told(state, "first.example"))
    assert "leaves by wg-up-1" in text
    moved = told(chosen(state, "first", "first/eu"), "first.example")
    assert "leaves by wg-up-2" in moved
    assert "down" not in moved
    down = told(chosen(state, "first", "first"), "first.example")
    assert "would be blocked because no member of group first is up" in down
    assert "which is down: legacy in its place" in told(chosen(state, "any", "legacy"), "any.example", client="bob")
    direct = told(chosen(state, "home", "home", direct=True), "home.example", client="bob")
    assert "which is down: direct in its place" in direct
    assert "BLOCKED" not in direct


def test_a_tunnel_over_its_websocket_is_told_as_such(state: State) -> None:
    port = PortRange("transport/us/wireguard", 41000, 41099)
    devices = tuple(dataclasses.replace(device, transport="auto", websocket=port) for device in state.upstreams)
    either = dataclasses.replace(state, upstreams=devices)
    assert "WebSocket" not in told(either, "first.example")
    carried = with_transports(either, {"us": Carried("websocket")})
    assert "leaves by wg-up-1, which goes over its WebSocket" in told(carried, "first.example")


@pytest.mark.parametrize(
    ("hop", "words"),
    [
        (Hop("wg-up-1", None), "leaves by wg-up-1"),
        (Hop("eth0", "192.0.2.1"), "leads it to eth0 instead of wg-up-1, where the guard drops it: run site.yml"),
        (Hop(refused="No route to host"), "blocked because the kernel refuses it: No route to host"),
    ],
)
def test_what_the_kernel_does_is_told_where_it_differs(state: State, hop: Hop, words: str) -> None:
    facts = Facts(holds=lambda *_: False, route=lambda *_: hop)
    assert words in told(state, "198.51.100.129", facts)


def test_names_that_dnsmasq_answers_otherwise(state: State) -> None:
    silent = Facts(Resolved(failure="no answer from 10.8.0.1 within 2 s"), holds=lambda *_: False)
    assert "list video → eu: decides" in (text := told(state, "youtube.com", silent, "bob"))
    assert "our dnsmasq does not answer (no answer from 10.8.0.1 within 2 s)" in text
    assert "knows no address of this name" in told(state, "nowhere.youtube.com", Facts(Resolved()))
    listed = Facts(Resolved(("203.0.113.1",)), in_hosts_file=True, holds=lambda *_: False)
    assert "the name is in the gateway's /etc/hosts" in (text := told(state, "youtube.com", listed))
    assert "no rule holds it" in text


@settings(max_examples=200, deadline=None)
@given(topologies, answers, st.data())
def test_a_gateway_explains_what_the_rules_say(given_topology, answered, data):
    """By the compiler's oracle, which knows rules only."""
    state = compile_state(given_topology, {})
    client = data.draw(st.sampled_from(given_topology.clients)).name
    name = data.draw(st.sampled_from(sorted(answered) or NAMES))
    facts = host(state, answered, name)
    for to in (name, data.draw(st.sampled_from(ADDRESSES))):
        for decision in explain(state, client, to, facts if to == name else host(state, answered)).decisions:
            assert decision.egress == oracle(given_topology, client, decision.address, answered)
            deciding = [step.egress for step in decision.rules if step.part == "decides"]
            assert deciding == ([] if decision.by_default else [decision.egress])


@settings(max_examples=200, deadline=None)
@given(topologies, st.sampled_from(NAMES), st.data())
def test_inventory_and_gateway_agree_on_a_name_of_its_own_addresses(given_topology, name, data):
    """An address that is the name's alone and in no network: the one learns what the other presumes."""
    state = compile_state(given_topology, {})
    client = data.draw(st.sampled_from(given_topology.clients)).name
    answered = {name: ["203.0.113.77", "2001:db9::77"]}
    presumed = explain(state, client, name).decisions
    known = explain(state, client, name, host(state, answered, name)).decisions
    assume(not any(entry.holds and not entry.learned for one in known for step in one.rules for entry in step.sets))
    for before, after in zip(presumed, known):
        assert (before.egress, before.blocked, before.paths) == (after.egress, after.blocked, after.paths)
        told_before = [step for step in parts(before) if step[2] != "possible"]
        assert told_before == parts(after)


TYPED = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["alice", "bob", "10.8.0.2", "fe80::1%eth0", "::", "255.255.255.255", "*.youtube.com"]),
    st.sampled_from(
        ["YouTube.COM.", "bücher.example", "a..b", ".", "-", "1.2.3", "10.8.0.2/32", "http://a.b/", "a\nb"]
    ),
    st.ip_addresses().map(str),
    st.from_regex(r"[a-z0-9.:%*/_-]{1,20}", fullmatch=True),
)


@settings(max_examples=500, deadline=None)
@given(TYPED, TYPED, st.none() | st.integers(), st.none() | st.sampled_from(["tcp", "udp", "icmp", "sctp", ""]))
def test_whatever_is_typed_is_explained_or_refused_in_one_line(client, destination, port, protocol):
    for facts in (Facts(), Facts(Resolved(("203.0.113.1", "2001:db8::1")), holds=lambda *_: True)):
        try:
            explanation = explain(STATE, client, destination, facts, port, protocol)
        except ExplainError as error:
            assert "\n" not in str(error)
            assert str(error)
            continue
        text = explanation_text(explanation)
        assert all(len(line) <= WIDTH for line in text.splitlines())
        assert json.loads(json.dumps(to_data(explanation)))["destination"] == explanation.destination


STATE = field()
