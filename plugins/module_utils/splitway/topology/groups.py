# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_upstream_groups`: several upstreams as one egress; and where `on_down` leads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from .dns import read_own
from .errors import Report, shown
from .model import BLOCK, DIRECT, Group, Member
from .reading import Claims, Fields, as_list, good, mappings, parse_value
from .scalars import choice, duration, egress_name, number
from .words import Words

PATH = "splitway_upstream_groups"
KEYS = ("name", "mode", "members", "on_down", "hold", "margin", "resolvers")
MEMBER_KEYS = ("upstream", "weight")
FAILOVER, BALANCE, LATENCY = MODES = ("failover", "balance", "latency")
LONGEST_HOLD = 86400  # seconds
LARGEST_MARGIN = 10000  # milliseconds


def read_groups(report: Report, entries: Any, known: Words, names: Claims) -> tuple[Group, ...]:
    """Return the groups. `names` has those of the upstreams already: a rule could not tell them apart."""
    groups = []
    for path, entry in mappings(report, PATH, entries):
        groups.append(_read(Fields(report, path, entry, KEYS), known, names))
    return good(groups)


def _read(fields: Fields, known: Words, names: Claims) -> Optional[Group]:
    name = fields.require("name", egress_name("group"))
    if name is not None:
        names.claim(f"{fields.path}.name", name.lower(), fields.path, f'"{name}"')
    mode = fields.get_or("mode", choice("a mode", MODES), FAILOVER)
    members = _members(fields, known, mode)
    on_down = fields.get_or("on_down", known.egress, BLOCK)
    if any(member.upstream == on_down for member in members):
        fields.report.add(f"{fields.path}.on_down", f"{shown(on_down)} is one of the members: it is down then, too")
    if fields.given("margin") and mode != LATENCY:
        fields.report.add(f"{fields.path}.margin", f"means nothing for {mode}, only for {LATENCY}")
    hold = fields.get_or("hold", duration(0, LONGEST_HOLD), Group.hold)
    margin = fields.get_or("margin", number("a number of milliseconds", 0, LARGEST_MARGIN), Group.margin)
    resolvers = read_own(fields)
    return None if name is None else Group(name, members, mode, on_down, hold, margin, resolvers)


def _members(fields: Fields, known: Words, mode: str) -> tuple[Member, ...]:
    path = f"{fields.path}.members"
    taken = Claims(fields.report, "is already a member:")
    written = fields.values.get("members")
    if written is None or written == []:
        fields.report.add(path, "is required" if written is None else "is empty")
    found = []
    for index, entry in enumerate(as_list(fields.report, path, written)):
        member = _member(fields.report, f"{path}[{index}]", entry, known, mode)
        if member is not None:
            taken.claim(f"{path}[{index}]", member.upstream, f"{path}[{index}]", f'"{member.upstream}"')
        found.append(member)
    return good(found)


def _member(report: Report, path: str, entry: Any, known: Words, mode: str) -> Optional[Member]:
    if not isinstance(entry, dict):
        plain = parse_value(report, path, entry, known.upstream)
        return None if plain is None else Member(plain)
    fields = Fields(report, path, entry, MEMBER_KEYS)
    upstream = fields.require("upstream", known.upstream)
    if fields.given("weight") and mode != BALANCE:
        fields.report.add(f"{fields.path}.weight", f"means nothing for {mode}, only for {BALANCE}")
    weight = fields.get_or("weight", number("a weight", 1, 100), Member.weight)
    return None if upstream is None else Member(upstream, weight)


def check_fallbacks(report: Report, upstreams: Any, groups: Any) -> None:
    """Report each circle of `on_down`, at the first of its entries."""
    ways: dict[str, tuple[str, str]] = {}  # name → (path, on_down)
    for path, entries in (("splitway_upstreams", upstreams), (PATH, groups)):
        ways.update(_ways(path, entries))
    seen: set[str] = set()
    for start in ways:
        walk: list[str] = []
        name = start
        while name in ways and name not in seen:
            seen.add(name)
            walk.append(name)
            name = ways[name][1]
        if name in walk:
            circle = walk[walk.index(name) :]
            report.add(
                f"{ways[circle[0]][0]}.on_down", f"leads back to itself: {' > '.join(map(shown, (*circle, name)))}"
            )


def _ways(path: str, entries: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            name, on_down = entry.get("name"), entry.get("on_down")
            if isinstance(name, str) and isinstance(on_down, str) and on_down not in (BLOCK, DIRECT):
                yield name, (f"{path}[{index}]", on_down)
