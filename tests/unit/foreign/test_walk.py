# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of others, asked about packets: what iptables-save and nft print, jumps, and what cannot be known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from splitway.foreign import iptables, judged, nft
from splitway.foreign.model import DROP, ESTABLISHED, NEW, Base, Packet
from splitway.foreign.walk import ends, may_drop, sure_drop

PACKET = Packet("", "forward", 4, "tcp", 443, NEW, "wg0", "eth0", "10.8.0.2", "198.51.100.1", mark=0x2000)


def saved(*lines: str, policy: str = "ACCEPT", chains: tuple[str, ...] = ()) -> Base:
    declared = [f":FORWARD {policy} [0:0]", *(f":{chain} - [0:0]" for chain in chains)]
    (base,) = iptables.parse("\n".join(("*filter", *declared, *lines, "COMMIT")), 4, "iptables")
    return base


def listed(*expressions: list[Any], policy: str = "accept", sets: tuple[dict[str, Any], ...] = ()) -> Base:
    place = {"family": "inet", "table": "theirs"}
    chain = {**place, "name": "forward", "type": "filter", "hook": "forward", "prio": 0, "policy": policy}
    objects = [{"table": {"family": "inet", "name": "theirs"}}, *({"set": {**place, **item}} for item in sets)]
    objects += [{"chain": chain}, *({"rule": {**place, "chain": "forward", "expr": line}} for line in expressions)]
    (base,) = nft.parse(json.dumps({"nftables": objects}), True)
    return base


def judge(base: Base, packet: Packet = PACKET) -> str:
    found = ends(base, packet)
    return "drop" if sure_drop(found) else "doubt" if may_drop(found) else "pass"


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("-i wg0 -j DROP", "drop"),
        ("-i wg+ -j REJECT --reject-with icmp-port-unreachable", "drop"),
        ("-i eth0 -j DROP", "pass"),
        ("! -i wg0 -j DROP", "pass"),
        ("-s 10.8.0.0/16 -d 198.51.100.0/24 -j DROP", "drop"),
        ("! -s 10.0.0.0/8 -j DROP", "pass"),
        ("-p tcp -m tcp --dport 400:500 -j DROP", "drop"),
        ("-p udp -m udp --dport 443 -j DROP", "pass"),
        ("-p tcp -m multiport --dports 80,443 -j DROP", "drop"),
        ("-p tcp -m multiport ! --dports 80,443 -j DROP", "pass"),
        ("-m conntrack --ctstate INVALID,NEW -j DROP", "drop"),
        ("-m conntrack --ctstate RELATED,ESTABLISHED -j DROP", "pass"),
        ("-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP", "drop"),
        ("-m conntrack --ctstatus DNAT -j DROP", "pass"),
        ("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP", "pass"),
        ("-m addrtype --dst-type LOCAL -j DROP", "pass"),
        ("-m mark --mark 0x4000/0x4000 -j DROP", "pass"),
        ("-m mark ! --mark 0x4000/0x4000 -j DROP", "drop"),
        ("-m policy --dir in --pol ipsec -j DROP", "pass"),
        ("-m physdev --physdev-is-bridged -j DROP", "pass"),
        ("-m iprange --src-range 10.8.0.1-10.8.0.9 -j DROP", "drop"),
        ('-m comment --comment "drop -i eth0 ! here" -j DROP', "drop"),
        ("-m set --match-set banned src -j DROP", "doubt"),
        ("-m limit --limit 3/min -j DROP", "doubt"),
        ("-m geoip --source-country XX -j DROP", "doubt"),
        ("-j NFQUEUE --queue-num 1", "doubt"),
        ('-j LOG --log-prefix "[UFW BLOCK] "', "pass"),
        ("-j SPLITWAY-FORWARD", "pass"),
    ],
)
def test_conditions_of_iptables(rule: str, verdict: str) -> None:
    assert judge(saved(f"-A FORWARD {rule}")) == verdict


def test_jumps_come_back_and_gotos_do_not() -> None:
    there = ("-A one -s 192.0.2.1/32 -j DROP", "-A FORWARD -i wg0 -j ACCEPT")
    assert judge(saved("-A FORWARD -j one", *there, policy="DROP", chains=("one",))) == "pass"
    assert judge(saved("-A FORWARD -g one", *there, policy="DROP", chains=("one",))) == "drop"
    early = ("-A FORWARD -j one", "-A one -i wg0 -j RETURN", "-A one -j DROP")
    assert judge(saved(*early, chains=("one",))) == "pass"
    assert judge(saved("-A FORWARD -j one", "-A one -j one", chains=("one",))) == "pass", "a circle has an end here"


def test_a_doubt_that_leads_to_the_same_end_is_none() -> None:
    assert judge(saved("-A FORWARD -m set --match-set x src -j DROP", policy="DROP")) == "drop"
    assert (
        judge(saved("-A FORWARD -m set --match-set x src -j ACCEPT", "-A FORWARD -j ACCEPT", policy="DROP")) == "pass"
    )


def test_the_rule_that_decides_is_told() -> None:
    base = saved("-A FORWARD -i wg0 -o eth0 -j DROP")
    (end,) = ends(base, PACKET)
    assert (end.verdict, end.where) == (DROP, "iptables filter FORWARD: -i wg0 -o eth0 -j DROP")
    (finding,) = judged((base, saved(policy="ACCEPT")), (PACKET,))
    assert "iptables -I FORWARD -i wg0 -j ACCEPT" in str(finding)


def matched(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def field(protocol: str, name: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": name}}


STATE = {"ct": {"key": "state"}}


@pytest.mark.parametrize(
    ("match", "verdict"),
    [
        (matched(meta("iifname"), "wg0"), "drop"),
        (matched(meta("iifname"), "wg*"), "drop"),
        (matched(meta("iifname"), {"set": ["eth0", "eth1"]}), "pass"),
        (matched(meta("iifname"), "@inside"), "drop"),
        (matched(meta("oifname"), "eth0", "!="), "pass"),
        (matched(meta("l4proto"), {"set": ["tcp", "udp"]}), "drop"),
        (matched(meta("nfproto"), "ipv6"), "pass"),
        (matched(field("ip", "saddr"), {"prefix": {"addr": "10.8.0.0", "len": 16}}), "drop"),
        (matched(field("ip", "daddr"), "@networks"), "drop"),
        (matched(field("ip6", "saddr"), "::1"), "pass"),
        (matched(field("tcp", "dport"), {"set": [{"range": [400, 500]}, 22]}), "drop"),
        (matched(field("udp", "dport"), 443), "pass"),
        (matched(field("icmpv6", "type"), "echo-request"), "pass"),
        (matched(STATE, ["established", "related"], "in"), "pass"),
        (matched(STATE, {"set": ["new"]}), "drop"),
        (matched({"ct": {"key": "status"}}, "dnat", "in"), "pass"),
        (matched({"&": [meta("mark"), 0x4000]}, 0x4000), "pass"),
        (matched({"&": [meta("mark"), 0x2000]}, 0x2000), "drop"),
        (matched({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), "pass"),
        (matched(meta("skuid"), 1000), "doubt"),
        ({"limit": {"rate": 3, "per": "minute"}}, "doubt"),
        ({"counter": {"packets": 0, "bytes": 0}}, "drop"),
    ],
)
def test_conditions_of_nftables(match: dict[str, Any], verdict: str) -> None:
    sets = (
        {"name": "inside", "elem": ["wg0"]},
        {"name": "networks", "elem": [{"elem": {"val": {"prefix": {"addr": "198.51.100.0", "len": 24}}}}]},
    )
    assert judge(listed([match, {"drop": None}], sets=sets)) == verdict


def test_verdict_maps_and_policies_of_nftables() -> None:
    states = {"set": [["established", {"accept": None}], ["new", {"drop": None}]]}
    base = listed([{"vmap": {"key": STATE, "data": states}}])
    assert judge(base) == "drop"
    assert judge(base, Packet(**{**vars(PACKET), "state": ESTABLISHED})) == "pass"
    assert judge(listed(policy="drop")) == "drop"
    assert judge(listed(policy="drop"), Packet(**{**vars(PACKET), "hook": "input"})) == "pass"


def test_what_iptables_keeps_in_nftables_is_told_once() -> None:
    chain = {"family": "ip", "table": "filter", "name": "FORWARD", "type": "filter", "hook": "forward", "prio": 0}
    text = json.dumps({"nftables": [{"chain": {**chain, "policy": "drop"}}]})
    assert list(nft.parse(text, True)) == []
    assert len(list(nft.parse(text, False))) == 1
