# SPDX-License-Identifier: GPL-3.0-or-later
"""Policy routing: the egress tables with their floors, the rules that lead to them, and forwarding.

Both families alike. Whatever order things happen in, a table has its floor before its route, tables
are there before rules, and forwarding is on only behind the guard; removals go the other way.
Routes and rules are written by one `ip -batch` a family: it stops at the first line that fails.

While the clients' interface is away their networks are a black hole: what the gateway sends them, an ICMP error that
quotes their question or an answer of dnsmasq's, would follow its default route. Were they unreachable, it would tell so
to whoever answers them through a tunnel, and by its default route as well (seen).

A route through an interface that is not there or not up now is left out: the floor alone stays, and
the next read plans it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Union

from ...state import Routes, Rule
from ...system import System, SystemFailure
from ..base import ADD, CHANGE, REMOVE, Change, ReconcileError
from . import sysctl
from .live import FLOOR_METRIC, MAIN_TABLE, PROTOCOL, V6_METRIC, Current, LiveRule, Route, read

__all__ = ["Current", "apply", "plan", "read"]


@dataclass(frozen=True)
class Line:
    """The payload of a Change of a route or rule: a line of `ip -batch`."""

    family: int
    text: str


def plan(desired: Routes, current: Current) -> tuple[Change, ...]:
    """Return the changes: floors, routes, rules, forwarding; then removals: forwarding, rules, routes.

    Raises ReconcileError that names a foreign route in one of our tables or a foreign rule in our way.
    """
    routes, rules = _wanted_routes(desired, current), _wanted_rules(desired, current)
    _check_routes(desired, routes, current)
    _check_rules(desired, frozenset(rules), current)
    wanted = desired != Routes()
    return (
        *_add_routes(routes, current),
        *_add_rules(rules, current),
        *(sysctl.plan(current.parameters) if wanted else ()),
        *(() if wanted else sysctl.plan_removal(current.parameters)),
        *_remove_rules(rules, current),
        *_remove_routes(routes, current),
    )


def _wanted_routes(desired: Routes, current: Current) -> list[Route]:
    floors, routes = [], []
    for table in desired.tables:
        for family in current.families:
            floors.append(Route(family, table.number, table.floor, None, FLOOR_METRIC))
            if table.interface and family in table.families and (family, table.interface) in current.links:
                metric = V6_METRIC if family == 6 else 0
                routes.append(Route(family, table.number, "unicast", table.interface, metric))
    for network in desired.kept:
        family = 6 if ":" in network else 4
        if family in current.families:
            floors.append(Route(family, MAIN_TABLE, "blackhole", None, FLOOR_METRIC, network))
    return floors + routes


def _wanted_rules(desired: Routes, current: Current) -> list[tuple[int, Rule]]:
    # The anchor first, that `goto` finds it; then the guard, that nothing passes while the rest is loaded.
    order = {"nop": 0, "unreachable": 1}
    rules = sorted(desired.rules, key=lambda rule: (order.get(rule.action, 2), rule.priority))
    return [
        (family, replace(rule, family=None))  # a rule in the kernel is of the family where it was found
        for rule in rules
        for family in current.families
        if rule.family in (None, family)
    ]


def _check_routes(desired: Routes, routes: list[Route], current: Current) -> None:
    tables = {table.number: table for table in desired.tables}
    for live in current.routes:
        if live.ours or live.route in routes or live.table not in tables:
            continue
        raise ReconcileError(
            f"table {live.table} (egress {tables[live.table].egress}) already holds a route that is not ours: "
            f"{live.text} (v{live.family}). Remove it, or move splitway's numbers"
        )


def _check_rules(desired: Routes, rules: frozenset[tuple[int, Rule]], current: Current) -> None:
    if not desired.rules:
        return
    first = min(rule.priority for rule in desired.rules)
    last = max(rule.priority for rule in desired.rules)
    for live in current.rules:
        if live.ours or _adopted(live, rules):
            continue
        if first <= live.rule.priority <= last:
            raise ReconcileError(
                f"the rule with priority {live.rule.priority} (v{live.family}) is not ours and lies in our range "
                f"{first}-{last}: {live.text}. Remove it, or move one of both"
            )
        if live.rule.priority < first and _takes_ours(live, desired.rules):
            raise ReconcileError(
                f"the rule with priority {live.rule.priority} (v{live.family}) is not ours, comes before ours and "
                f"takes packets with our marks: {live.text}. Remove it, or choose another splitway mask"
            )


def _adopted(live: LiveRule, rules: frozenset[tuple[int, Rule]]) -> bool:
    return live.exact and (live.family, live.rule) in rules


def _takes_ours(live: LiveRule, rules: tuple[Rule, ...]) -> bool:
    """Return whether a foreign rule asks for a mark that one of our marked packets has, whatever its other bits are."""
    value, mask = live.rule.mark, live.rule.mask
    if value is None or mask is None:
        return False
    for rule in rules:
        if not rule.mark or not rule.mask:
            continue
        common = mask & rule.mask  # none: it looks at bits that we leave alone
        same = (value ^ rule.mark) & common == 0
        if live.inverted:
            # `not fwmark X`: takes ours unless ours is X itself.
            if not same or mask & ~rule.mask:
                return True
        elif same and value & common:
            return True
    return False


def _add_routes(routes: list[Route], current: Current) -> Iterator[Change]:
    present = {live.route for live in current.routes if live.route}
    ours = {_place(live.route): live.route for live in current.routes if live.ours and live.route}
    for route in routes:
        if route in present:
            continue
        old = ours.get(_place(route))
        yield Change(
            CHANGE if old else ADD,
            f"route {route.words()} (v{route.family})",
            old.words() if old else "",
            route.words(),
            Line(route.family, f"route replace {route.words()} protocol {PROTOCOL}"),
        )


def _place(route: Route) -> tuple[int, int, str, int]:
    """Return what the kernel tells routes apart by: a new one in the same place replaces the old."""
    return route.family, route.table, route.destination, route.metric


def _add_rules(rules: list[tuple[int, Rule]], current: Current) -> Iterator[Change]:
    present = {(live.family, live.rule) for live in current.rules if live.exact}
    for family, rule in rules:
        if (family, rule) not in present:
            text = words(rule)
            line = Line(family, f"rule add {text} protocol {PROTOCOL}")
            yield Change(ADD, f"rule {_for_people(rule)} (v{family})", "", text, line)


def _remove_rules(rules: list[tuple[int, Rule]], current: Current) -> Iterator[Change]:
    wanted = set(rules)
    for live in current.rules:
        if live.ours and (live.family, live.rule) not in wanted:
            text = words(live.rule)
            line = Line(live.family, f"rule del {text} protocol {PROTOCOL}")
            yield Change(REMOVE, f"rule {_for_people(live.rule)} (v{live.family})", text, "", line)


def _remove_routes(routes: list[Route], current: Current) -> Iterator[Change]:
    wanted = set(routes)
    taken = {_place(route) for route in routes}
    for live in sorted(current.routes, key=lambda live: live.route is None or live.route.metric == FLOOR_METRIC):
        if not live.ours or live.route in wanted:
            continue
        if live.route is None:  # of our protocol but not of our making: the whole of what `ip` needs to find it
            text = f"{live.text} table {live.table}"
        elif _place(live.route) in taken:
            continue  # replaced
        else:
            text = live.route.words()
        line = Line(live.family, f"route del {text} protocol {PROTOCOL}")
        yield Change(REMOVE, f"route {text} (v{live.family})", text, "", line)


def words(rule: Rule) -> str:
    """Return a rule as `ip rule` takes it."""
    parts = [f"pref {rule.priority}"]
    if rule.source:
        parts.append(f"from {rule.source}")
    if rule.destination:
        parts.append(f"to {rule.destination}")
    if rule.iif:
        parts.append(f"iif {rule.iif}")
    if rule.oif:
        parts.append(f"oif {rule.oif}")
    if rule.mark is not None:
        parts.append(f"fwmark {rule.mark:#x}/{0xFFFFFFFF if rule.mask is None else rule.mask:#x}")
    actions = {"lookup": f"lookup {rule.table}", "goto": f"goto {rule.target}"}
    parts.append(actions.get(rule.action, f"type {rule.action}"))
    return " ".join(parts)


def _for_people(rule: Rule) -> str:
    return words(rule).replace("pref ", "", 1).replace("type ", "")


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out exactly these changes. Raises ReconcileError that shows the line which the kernel refused."""
    adding = [change.payload for change in changes if change.action != REMOVE]
    removing = [change.payload for change in changes if change.action == REMOVE]
    if changes and not system.has("ip"):
        raise ReconcileError("ip is not installed: install the package iproute2")
    try:
        _batches(system, adding)
        _settings(system, adding)
        _settings(system, removing)
        _batches(system, removing)
    except SystemFailure as failure:
        raise ReconcileError(str(failure)) from failure


def _settings(system: System, payloads: list[Union[Line, sysctl.Setting]]) -> None:
    for payload in payloads:
        if isinstance(payload, sysctl.Setting):
            sysctl.apply(system, payload)


def _batches(system: System, payloads: list[Union[Line, sysctl.Setting]]) -> None:
    for family in (4, 6):
        lines = [payload.text for payload in payloads if isinstance(payload, Line) and payload.family == family]
        if lines:
            _batch(system, family, lines)


def _batch(system: System, family: int, lines: list[str]) -> None:
    system.commands += [f"ip -{family} {line}" for line in lines]
    try:
        system.run("ip", f"-{family}", "-batch", "-", input="\n".join(lines) + "\n")
    except SystemFailure as failure:
        found = re.search(r"Command failed -:(\d+)", str(failure))
        if found is None:
            raise
        reason = str(failure).partition(": ")[2].replace(found.group(), "").strip()
        raise ReconcileError(f"ip -{family} {lines[int(found.group(1)) - 1]}: {reason}") from failure
