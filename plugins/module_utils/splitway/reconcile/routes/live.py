# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel has now of rules and of routes in our tables, ours or not, both families.

Ours carry routing protocol 83. Read by `ip`: five short processes, 10,000 rules in 0.09 s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Optional

from ...state import FAMILIES, Routes, Rule
from ...system import System
from . import sysctl
from .sysctl import Parameters

PROTOCOL = 83  # free in /etc/iproute2/rt_protos and in what the routing daemons use
FLOOR_METRIC = 4278198272  # far behind every route somebody adds by hand
MAIN_TABLE = 254
V6_METRIC = 1024  # the kernel's default for an IPv6 route

_TYPES = {"1": "unicast", "2": "local", "3": "broadcast", "5": "multicast"}
_REFUSALS = {"6": "blackhole", "7": "unreachable", "8": "prohibit", "9": "throw"}
_RULE_FIELDS = {"priority", "src", "srclen", "dst", "dstlen", "protocol", "fwmark", "fwmask", "iif", "oif"}
_RULE_FIELDS |= {"table", "goto", "nop", "action"}
_RULE_NOTES = {"iif_detached", "oif_detached", "unresolved", "flags"}
_ROUTER_ADVERTISEMENT = "9"


@dataclass(frozen=True)
class Route:
    """A default route of one of our tables, through an interface or the floor; or a refusal in the main table."""

    family: int
    table: int
    type: str  # unicast | unreachable | prohibit | throw | blackhole
    interface: Optional[str]
    metric: int
    destination: str = "default"

    def words(self) -> str:
        """Return it as `ip route` takes it."""
        to = self.destination
        way = f"{to} dev {self.interface}" if self.type == "unicast" else f"{self.type} {to}"
        metric = f" metric {self.metric}" if self.metric else ""
        return f"{way}{metric} table {self.table}"


@dataclass(frozen=True)
class LiveRoute:
    """A route in a table. `route` is None when it is of a shape that we never make."""

    family: int
    table: int
    ours: bool
    text: str
    route: Optional[Route]


@dataclass(frozen=True)
class LiveRule:
    """An ip rule. `exact`: it has no selector or option beside those of a state.Rule."""

    family: int
    rule: Rule
    ours: bool
    text: str
    exact: bool = True
    inverted: bool = False  # `not`: it takes what does not match


@dataclass(frozen=True)
class Current:
    """Rules, routes and parameters of the host."""

    rules: tuple[LiveRule, ...] = ()
    routes: tuple[LiveRoute, ...] = ()  # of our protocol, or in a desired table
    links: frozenset[tuple[int, str]] = frozenset()  # (family, interface) that take a route now
    families: tuple[int, ...] = FAMILIES  # those that the host has
    parameters: Parameters = field(default_factory=Parameters)


def read(system: System, desired: Routes) -> Current:
    """Return what the kernel has. A host without `ip` has nothing."""
    has_v6 = system.sysctl("net/ipv6/conf/all/forwarding") is not None
    families = FAMILIES if has_v6 else (4,)
    if not system.has("ip"):
        return Current(families=families, parameters=sysctl.read(system, ()))
    tables = {table.number for table in desired.tables}
    rules, routes, uplinks = [], [], set()
    for family in families:
        rules += [_rule(family, data) for data in _ip(system, f"-{family}", "rule", "show")]
        for data in _ip(system, f"-{family}", "route", "show", "table", "all"):
            if family == 6 and data.get("protocol") in (_ROUTER_ADVERTISEMENT, "ra") and data["dst"] == "default":
                uplinks.add(data.get("dev", ""))
            live = _route(family, data)
            if live.ours or live.table in tables:
                routes.append(live)
    up = {link["ifname"] for link in _ip(system, "link", "show") if "UP" in link["flags"]}
    return Current(
        rules=tuple(rules),
        routes=tuple(routes),
        links=_links(system, families, up & {table.interface for table in desired.tables if table.interface}),
        families=families,
        parameters=sysctl.read(system, uplinks - {""}),
    )


def _ip(system: System, *argv: str) -> list[dict[str, Any]]:
    text = system.read("ip", "-N", "-j", "-d", *argv)
    found: list[dict[str, Any]] = json.loads(text or "[]")
    return found


def _links(system: System, families: Iterable[int], up: Iterable[str]) -> frozenset[tuple[int, str]]:
    found = set()
    for interface in up:
        for family in families:
            # An interface without IPv6 refuses IPv6 routes; the floor stays alone.
            if family == 4 or system.sysctl(f"net/ipv6/conf/{interface}/disable_ipv6") == "0":
                found.add((family, interface))
    return frozenset(found)


def _rule(family: int, data: dict[str, Any]) -> LiveRule:
    mark = data.get("fwmark")
    mask = int(data.get("fwmask", "0xffffffff"), 16) if mark is not None else None
    if "goto" in data:
        action = "goto"
    elif "nop" in data:
        action = "nop"
    elif "action" in data:
        action = _REFUSALS.get(data["action"], data["action"])
    else:
        action = "lookup"
    rule = Rule(
        priority=data["priority"],
        action=action,
        table=_number(data["table"]) if action == "lookup" and "table" in data else None,
        target=data.get("goto"),
        mark=None if mark is None else int(mark, 16),
        mask=mask,
        iif=data.get("iif"),
        oif=data.get("oif"),
        source=_prefix(family, data, "src"),
        destination=_prefix(family, data, "dst"),
    )
    exact = set(data) <= _RULE_FIELDS | _RULE_NOTES
    text = " ".join(f"{key} {value}".replace(" None", "") for key, value in data.items())
    ours = exact and data.get("protocol") == str(PROTOCOL)
    return LiveRule(family, rule, ours, text, exact, "not" in data)


def _prefix(family: int, data: dict[str, Any], end: str) -> Optional[str]:
    """Return the network that a rule is limited to at one end, None when it is not."""
    address = data.get(end, "all")
    return None if address == "all" else f"{address}/{data.get(f'{end}len', 32 if family == 4 else 128)}"


def _route(family: int, data: dict[str, Any]) -> LiveRoute:
    # Without a table it is main's.
    number = _number(data.get("table", MAIN_TABLE))
    kind = _REFUSALS.get(data.get("type", "1"), _TYPES.get(data.get("type", "1"), data.get("type", "")))
    interface = data.get("dev") if kind == "unicast" else None  # IPv6 says "dev lo" for a refusal
    plain = not {"gateway", "via", "nexthops", "nhid", "prefsrc", "src"} & set(data)
    to = (
        data["dst"] if data["dst"] == "default" or "/" in data["dst"] else f"{data['dst']}/{32 if family == 4 else 128}"
    )
    route = Route(family, number, kind, interface, data.get("metric", 0), to) if plain else None
    text = f"{kind} {data['dst']}" + (f" via {data['gateway']}" if "gateway" in data else "")
    if interface:
        text += f" dev {interface}"
    return LiveRoute(family, number, data.get("protocol") == str(PROTOCOL), text, route)


def _number(table: Any) -> int:
    return int({"local": 255, "main": MAIN_TABLE, "default": 253}.get(table, table))
