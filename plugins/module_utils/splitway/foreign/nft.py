# SPDX-License-Identifier: GPL-3.0-or-later
"""What `nft -j list table` prints, as rules that can be asked about a packet.

Tables that iptables keeps in nftables are left out as well: their rules are opaque here, and iptables tells them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional

from ..services import NUMBERS
from .model import (
    ACCEPT,
    CONTINUE,
    DROP,
    RETURN,
    UNKNOWN,
    Base,
    Packet,
    Rule,
    Table,
    Test,
    like,
    never,
    unknown,
    within,
)

HOOKS = ("forward", "input", "output")
OURS = ("inet", "splitway")
_FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
_IPTABLES = ("filter", "mangle", "raw", "security", "nat")
_VERDICTS = {"accept": ACCEPT, "drop": DROP, "reject": DROP, "return": RETURN, "queue": UNKNOWN}
_SILENT = ("counter", "log", "mangle", "comment", "notrack", "flow", "quota", "ct helper", "set", "continue")

Sets = Mapping[str, Any]


def parse(text: str, iptables: bool) -> Iterator[Base]:
    """Yield the chains that the kernel calls; `iptables`: whether iptables has told of its own."""
    objects = [next(iter(item.items())) for item in json.loads(text).get("nftables", ())]
    tables: dict[tuple[str, str], dict[str, list[Rule]]] = {}
    sets: dict[tuple[str, str], dict[str, Any]] = {}
    bases = []
    for kind, item in objects:
        place = (item.get("family", ""), item.get("table", ""))
        if kind in ("set", "map"):
            sets.setdefault(place, {})[f"@{item['name']}"] = item.get("elem", [])
        elif kind == "chain":
            tables.setdefault(place, {})[item["name"]] = []
            if item.get("hook") in HOOKS and item.get("type") == "filter":
                bases.append((item.get("prio", 0), place, item))
    for kind, item in objects:
        if kind == "rule":
            place = (item["family"], item["table"])
            tables[place][item["chain"]] += _rules(item.get("expr", []), sets.get(place, {}))
    for _, place, item in sorted(bases, key=lambda entry: entry[0]):
        family, name = place
        if family not in _FAMILIES or (iptables and _is_iptables(family, name, item["name"])):
            continue
        table = Table(f"nft {family} {name}", {chain: tuple(rules) for chain, rules in tables[place].items()})
        yield Base(table, item["name"], item["hook"], _VERDICTS[item.get("policy", "accept")], _FAMILIES[family])


def _is_iptables(family: str, table: str, chain: str) -> bool:
    return family in ("ip", "ip6") and table in _IPTABLES and chain.isupper()


def _rules(expressions: list[Any], sets: Sets) -> Iterator[Rule]:
    """Yield what one rule is to us: one with a verdict map leads elsewhere by each of its entries."""
    tests: list[Test] = []
    leads = []
    for expression in expressions:
        word, content = next(iter(expression.items()))
        if word == "match":
            tests.append(functools.partial(_match, content, sets))
        elif word in _VERDICTS or word in ("jump", "goto"):
            leads.append(_verdict(expression, tests))
        elif word == "vmap":
            leads += _by_map(content, tests, sets)
        elif word not in _SILENT:  # xt: what iptables wrote; limit: by chance
            tests.append(unknown)
    yield from leads


def _verdict(expression: Mapping[str, Any], tests: list[Test]) -> Rule:
    word, content = next(iter(expression.items()))
    text = json.dumps(expression)
    if word in ("jump", "goto"):
        return Rule(tuple(tests), content["target"], f"{word} {content['target']}", True, word == "jump")
    return Rule(tuple(tests), _VERDICTS.get(word, CONTINUE), word if not content else text)


def _by_map(content: Mapping[str, Any], tests: list[Test], sets: Sets) -> Iterator[Rule]:
    data = content["data"]
    entries = sets.get(data, []) if isinstance(data, str) else data.get("set", [])
    for entry in entries:
        key, verdict = entry
        compared = {"op": "==", "left": content["key"], "right": key}
        yield _verdict(verdict, [*tests, functools.partial(_match, compared, sets)])


def _match(content: Mapping[str, Any], sets: Sets, packet: Packet) -> Optional[bool]:
    operator, left, right = content.get("op", "=="), content["left"], content["right"]
    if isinstance(right, str) and right.startswith("@"):
        right = {"set": sets.get(right, [])}
    if isinstance(left, dict) and "fib" in left:
        return _fib(left["fib"], right, operator, packet)
    value = _value(left, packet)
    if value is never:
        return False
    if operator == "in":  # one of the bits
        right = {"set": right if isinstance(right, list) else [right]}
    met = _equals(value, right, left)
    if operator in ("==", "in"):
        return met
    if operator == "!=":
        return None if met is None else not met
    return _ordered(operator, value, right)


def _ordered(operator: str, value: Any, right: Any) -> Optional[bool]:
    if not isinstance(value, int) or not isinstance(right, int):
        return None
    return {"<": value < right, ">": value > right, "<=": value <= right, ">=": value >= right}.get(operator)


def _fib(content: Mapping[str, Any], right: Any, operator: str, packet: Packet) -> Optional[bool]:
    if content.get("result") == "type" and content.get("flags") == ["daddr"]:
        met = right == ("local" if packet.hook == "input" else "unicast")
        return met if operator == "==" else not met
    return None


def _equals(value: Any, right: Any, left: Any) -> Optional[bool]:
    """Return whether a packet's value is, or is among, what a rule compares it with."""
    if value is None:
        return None
    if isinstance(right, dict):
        kind, content = next(iter(right.items()))
        compare = _COMPARISONS.get(kind)
        return compare(value, content, left) if compare else None
    if isinstance(right, list):  # flags, or a concatenation
        return value in right if isinstance(value, str) else None
    if isinstance(right, str) and isinstance(value, str):
        return like(value, right, "*")
    return bool(value == right)


def _among(value: Any, entries: Any, left: Any) -> Optional[bool]:
    answers = {_equals(value, entry, left) for entry in entries}
    return True if True in answers else None if None in answers else False


def _between(value: Any, ends: Any, _: Any) -> Optional[bool]:
    low, high = ends
    return low <= value <= high if isinstance(low, int) and isinstance(value, int) else None


_COMPARISONS: Mapping[str, Callable[[Any, Any, Any], Optional[bool]]] = {
    "set": _among,
    "elem": lambda value, content, left: _equals(value, content.get("val"), left),
    "prefix": lambda value, content, _: within(str(value), f"{content['addr']}/{content['len']}"),
    "range": _between,
}


def _value(left: Any, packet: Packet) -> Any:
    """Return what a packet has where a rule looks; None: not known; `never`: it has no such thing."""
    if not isinstance(left, dict):
        return None
    word, content = next(iter(left.items()))
    if word == "meta":
        return _META.get(content["key"], unknown)(packet)
    if word == "ct":
        return packet.state if content["key"] == "state" else 0 if content["key"] == "status" else None
    if word == "payload" and "field" in content:
        return _payload(content, packet)
    if word == "&" and content[0] == {"meta": {"key": "mark"}} and isinstance(content[1], int):
        return packet.mark & content[1]
    return None


_META: Mapping[str, Callable[[Packet], Any]] = {
    "iifname": lambda packet: packet.incoming,
    "iif": lambda packet: packet.incoming,
    "oifname": lambda packet: packet.outgoing,
    "oif": lambda packet: packet.outgoing,
    "l4proto": lambda packet: packet.protocol,
    "nfproto": lambda packet: f"ipv{packet.family}",
    "protocol": lambda packet: "ip" if packet.family == 4 else "ip6",
    "mark": lambda packet: packet.mark,
    "pkttype": lambda _: "host",
}


def _payload(content: Mapping[str, Any], packet: Packet) -> Any:
    protocol, field = content["protocol"], content["field"]
    if protocol in ("ip", "ip6"):
        if (protocol == "ip") != (packet.family == 4):
            return never
        if field in ("saddr", "daddr"):
            return (packet.source if field == "saddr" else packet.destination) or None
        return packet.protocol if field in ("protocol", "nexthdr") else None
    if protocol not in ("th", packet.protocol):
        return never if protocol in NUMBERS or protocol.startswith("icmp") else None
    return {"dport": packet.port, "sport": packet.source_port or None}.get(field)
