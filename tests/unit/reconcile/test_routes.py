# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of the plan of policy routing, on a kernel that is played: a set of routes and a set of rules."""

from __future__ import annotations

import dataclasses
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.reconcile import routes
from splitway.reconcile.base import (
    REMOVE,
    Change,
    ReconcileError,
    additions,
    removals,
)
from splitway.reconcile.routes import live as routes_live
from splitway.reconcile.routes import sysctl
from splitway.reconcile.routes.live import (
    FLOOR_METRIC,
    PROTOCOL,
    Current,
    LiveRoute,
    LiveRule,
    Route,
)
from splitway.state import Routes, Rule, Table, mark_of

MASK = 0x3FFF
INTERFACES = ("wg-up-1", "wg-up-2", "wg-up-3")
FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/netfilter/nf_conntrack_acct")

# --- the kernel that is played ---


def simulate(current: Current, changes: tuple[Change, ...]) -> Current:
    """Return what the kernel has after the changes. Fails where the kernel would refuse."""
    for change in changes:
        current = (
            _setting(current, change.payload)
            if isinstance(change.payload, sysctl.Setting)
            else _line(current, change.payload)
        )
    return current


def _setting(current: Current, setting: sysctl.Setting) -> Current:
    old = current.parameters
    now, before = dict(old.now), dict(old.before)
    if setting.value is not None:
        before.setdefault(setting.key, str(now[setting.key]))
        now[setting.key] = setting.value
    else:
        now[setting.key] = before.pop(setting.key)
    return dataclasses.replace(current, parameters=sysctl.Parameters(now, old.wanted, before))


def _line(current: Current, line: routes.Line) -> Current:
    assert line.text.endswith(f" protocol {PROTOCOL}")
    text = line.text.rpartition(" protocol ")[0]
    if text.startswith("rule "):
        verb, body = text.split(" ", 2)[1:]
        found = [r for r in current.rules if r.family == line.family and routes.words(r.rule) == body]
        if verb == "del":
            assert [rule.ours for rule in found] == [True]
            return dataclasses.replace(current, rules=tuple(r for r in current.rules if r not in found))
        assert not found, "the kernel would say: File exists"
        return dataclasses.replace(current, rules=(*current.rules, LiveRule(line.family, parse_rule(body), True, body)))
    verb, body = text.split(" ", 2)[1:]
    route = parse_route(line.family, body)
    others = tuple(r for r in current.routes if r.route is None or _place(r.route) != _place(route))
    if verb == "del":
        assert len(others) == len(current.routes) - 1
        return dataclasses.replace(current, routes=others)
    assert verb == "replace"
    assert route.interface is None or (line.family, route.interface) in current.links
    return dataclasses.replace(current, routes=(*others, LiveRoute(line.family, route.table, True, body, route)))


def _place(route: Route) -> tuple[object, ...]:
    return route.family, route.table, route.destination, route.metric


def parse_rule(body: str) -> Rule:
    """Return the rule that `ip rule` would make of these words: a second reading of them, not the reconciler's."""
    words = body.split()
    fields: dict[str, str] = dict(zip(words[::2], words[1::2]))
    mark: Optional[int] = None
    mask: Optional[int] = None
    if "fwmark" in fields:
        mark, mask = (int(part, 16) for part in fields["fwmark"].split("/"))
    action = "lookup" if "lookup" in fields else "goto" if "goto" in fields else fields["type"]
    return Rule(
        int(fields["pref"]),
        action,
        int(fields["lookup"]) if "lookup" in fields else None,
        int(fields["goto"]) if "goto" in fields else None,
        mark,
        mask,
        fields.get("iif"),
        fields.get("oif"),
    )


def parse_route(family: int, body: str) -> Route:
    words = body.split()
    kind = "unicast" if words[1] == "dev" else words.pop(0)
    fields = dict(zip(words[1::2], words[2::2]))
    return Route(family, int(fields["table"]), kind, fields.get("dev"), int(fields.get("metric", 0)), words[0])


# --- what is drawn ---

tables = st.builds(
    Table,
    number=st.integers(101, 106),
    egress=st.just("some"),
    interface=st.sampled_from((*INTERFACES, None)),
    families=st.sampled_from(((4, 6), (4,), (6,), ())),
    floor=st.sampled_from(("unreachable", "prohibit", "throw")),
)


@st.composite
def sections(draw: st.DrawFn) -> Routes:
    """Routes as the compiler makes them: a rule of each kind, one table a number."""
    chosen = draw(st.lists(tables, unique_by=lambda table: table.number, max_size=5))
    if not chosen:
        return Routes()
    rules = [
        Rule(5000, "unreachable", mark=0, mask=0x2000, iif="wg0"),
        Rule(5020, "goto", target=5040, mark=mark_of(0, MASK), mask=MASK),
        Rule(5040, "nop"),
    ]
    for table in chosen:
        rules.append(Rule(5030, "lookup", table=table.number, mark=mark_of(table.number, MASK), mask=MASK))
        if table.interface:
            rules.append(Rule(5010, "lookup", table=table.number, oif=table.interface))
    kept = draw(st.lists(st.sampled_from(("10.8.0.0/24", "10.9.0.1/32", "fdcc::/64")), unique=True))
    return Routes(tuple(chosen), tuple(draw(st.permutations(rules))), tuple(kept))


STRANGERS = (
    LiveRule(4, Rule(0, "lookup", table=255), False, "local"),
    LiveRule(4, Rule(5210, "lookup", table=52, mark=0x80000, mask=0xFF0000), False, "Tailscale's"),
    LiveRule(6, Rule(100, "lookup", table=77, mark=0x4000, mask=0x4000), False, "kube-proxy's"),
    LiveRule(4, Rule(32764, "lookup", table=51820, mark=0xCA6C, mask=0xFFFFFFFF), False, "wg-quick's", True, True),
    LiveRule(4, Rule(5040, "nop"), False, "exactly ours"),
)


@st.composite
def kernels(draw: st.DrawFn) -> Current:
    """A host: strangers, what an earlier section of ours left, links that come and go."""
    families = draw(st.sampled_from(((4, 6), (4,))))
    links = frozenset((f, i) for f in families for i in draw(st.sets(st.sampled_from(INTERFACES))))
    strangers = tuple(s for s in draw(st.sets(st.sampled_from(STRANGERS))) if s.family in families)
    now: dict[str, Optional[str]] = {key: draw(st.sampled_from("01")) for key in FORWARDING}
    if 6 not in families:
        now[FORWARDING[1]] = None
    parameters = sysctl.Parameters(now, dict.fromkeys(FORWARDING, "1"))
    empty = Current(strangers, (), links, families, parameters)
    earlier = draw(sections())
    return simulate(empty, routes.plan(earlier, empty))


def foreign(current: Current) -> set[LiveRule]:
    return {rule for rule in current.rules if not rule.ours}


@given(sections(), kernels())
def test_applying_the_plan_gives_the_section_and_leaves_nothing_to_do(desired: Routes, current: Current) -> None:
    after = simulate(current, routes.plan(desired, current))
    assert routes.plan(desired, after) == ()
    assert foreign(after) == foreign(current)
    for table in desired.tables:
        ours = [r.route for r in after.routes if r.route and r.table == table.number]
        floors = [(route.family, route.type) for route in ours if route.metric == FLOOR_METRIC]
        assert sorted(floors) == [(family, table.floor) for family in current.families]
    for rule in desired.rules:
        assert {r.family for r in after.rules if r.rule == rule} == set(current.families)


@given(sections(), kernels())
def test_removals_come_last_and_the_additions_alone_hold_everything(desired: Routes, current: Current) -> None:
    changes = routes.plan(desired, current)
    assert (*additions(changes), *removals(changes)) == changes
    halfway = simulate(current, additions(changes))
    assert {change.action for change in routes.plan(desired, halfway)} <= {REMOVE}
    assert foreign(halfway) == foreign(current)


@given(sections(), kernels())
def test_at_no_step_a_rule_leads_to_a_table_without_a_floor(desired: Routes, current: Current) -> None:
    for change in routes.plan(desired, current):
        current = simulate(current, (change,))
        floors = {(r.family, r.table) for r in current.routes if r.route and r.route.metric == FLOOR_METRIC}
        for rule in current.rules:
            if rule.ours and rule.rule.table is not None:
                assert (rule.family, rule.rule.table) in floors, change.what


@given(sections(), kernels())
def test_forwarding_is_switched_on_behind_the_guard_and_off_before_it(desired: Routes, current: Current) -> None:
    def guarded() -> bool:
        return {r.family for r in current.rules if r.rule.action == "unreachable"} == set(current.families)

    for change in routes.plan(desired, current):
        if isinstance(change.payload, sysctl.Setting):
            assert guarded(), change.what
        current = simulate(current, (change,))


@pytest.mark.parametrize(
    ("value", "mask", "inverted", "taken"),
    [
        (0x2065, 0xFFFFFFFF, False, True),
        (0x2000, 0x2000, False, True),
        (0x65, 0xFF, False, True),
        (0xF0002065, 0xF0003FFF, False, True),
        (0x66, 0xFF, False, False),
        (0x80000, 0xFF0000, False, False),
        (0, 0x2000, False, False),
        (0xCA6C, 0xFFFFFFFF, True, True),
        (0x80000, 0xFF0000, True, True),
        (0x2065, 0x3FFF, True, False),
    ],
)
def test_which_strange_marks_take_our_packets(value: int, mask: int, inverted: bool, taken: bool) -> None:
    desired = Routes(rules=(Rule(5030, "lookup", table=101, mark=0x2065, mask=MASK),))
    stranger = LiveRule(4, Rule(100, "lookup", table=7, mark=value, mask=mask), False, "a stranger", True, inverted)
    if taken:
        with pytest.raises(ReconcileError, match=r"priority 100 .* takes packets with our marks: a stranger"):
            routes.plan(desired, Current(rules=(stranger,)))
    else:
        assert routes.plan(desired, Current(rules=(stranger,)))


def test_what_ip_prints_is_read() -> None:
    guard = {"priority": 5000, "src": "all", "fwmark": "0", "fwmask": "0x2000", "iif": "wg0", "iif_detached": None}
    live = routes_live._rule(4, {**guard, "action": "7", "protocol": "83"})
    assert live.ours
    assert live.rule == Rule(5000, "unreachable", mark=0, mask=0x2000, iif="wg0")
    assert routes_live._rule(4, {**guard, "action": "unreachable", "protocol": "83"}).rule == live.rule, "older, newer"
    source = {"priority": 9, "src": "10.0.0.0", "srclen": 8, "table": "main", "protocol": "83"}
    assert routes_live._rule(4, source).rule == Rule(9, "lookup", table=254, source="10.0.0.0/8")
    alone = routes_live._rule(6, {"priority": 9, "src": "all", "dst": "fd00::1", "table": "main"}).rule
    assert alone == Rule(9, "lookup", table=254, destination="fd00::1/128")
    assert not routes_live._rule(4, {**source, "tos": "0x10"}).exact
