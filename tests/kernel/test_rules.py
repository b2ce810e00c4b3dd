# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of all kinds, combined, against the real kernel in both backends: judged by real packets."""

from __future__ import annotations

import dataclasses
import random
import time
from typing import Any

import pytest
from namespaces import NamespaceSystem, run_here
from test_groups import Gateway, topology
from traffic import BACKENDS, BLOCK, CLIENTS, DIRECT, EU, MASK, US, Attempt, Lab, bring, lab, learn, the_marks, the_sets
from worlds import BASES, matcher, random_destination, random_world

from splitway.agent.names.journal import Journal, Pair, location
from splitway.compiler import compile_state
from splitway.present import at
from splitway.reconcile import marks, sets
from splitway.schedules import Schedule, Span
from splitway.services import Ports
from splitway.state import FamilyMarks, MarkPolicy, MarkRule, Marks, mark_of
from splitway.topology import parse
from splitway.transaction import begin
from splitway.transaction import bring as bring_section

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)
ONE, ONE6 = CLIENTS[4][0], CLIENTS[6][0]
SERVICES = (("udp", 9), ("udp", 15), ("tcp", 9), ("tcp", 20), ("icmp", 0))


def planned(system: NamespaceSystem, backend: str, section: Marks) -> list[str]:
    return [f"{change.action} {change.what}" for change in marks.plan(section, marks.read(system, section, backend))]


def with_rules(backend: str, *rules: MarkRule, default: int = DIRECT) -> Marks:
    """One policy for one client in both families; the sets' names are those of IPv4."""
    section = the_marks(backend)

    def of(rule: MarkRule, version: int) -> MarkRule:
        def spelled(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name.replace("sw4", f"sw{version}") for name in names)

        return dataclasses.replace(rule, sets=spelled(rule.sets), also=tuple(map(spelled, rule.also)))

    families = {
        version: FamilyMarks(
            {client: 1}, (MarkPolicy(1, "", tuple(of(rule, version) for rule in rules), default),), f"sw{version}s"
        )
        for version, client in ((4, ONE), (6, ONE6))
    }
    return dataclasses.replace(section, v4=families[4], v6=families[6])


def test_the_kernel_decides_combined_rules_as_an_independent_matcher_does(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    lab.refuse_nothing()
    rnd = random.Random(5)
    decided = set()
    for _ in range(10):
        wanted, section, contents = random_world(rnd, backend, combined=True)
        bring(system, backend, wanted, section)
        assert planned(system, backend, section) == []
        for name, addresses in contents.items():
            if name[3] == "d":  # what is in the kernel counts: a set that stays keeps its addresses
                learn(backend, name, *(address.split("/")[0] for address in addresses))
        for name, members in sets.members(system, backend).items():
            contents[name] = sorted(members)
        attempts = [
            Attempt(client, random_destination(rnd, family, base), *service)
            for family in (4, 6)
            for client in CLIENTS[family]
            for base in BASES[family]
            for service in SERVICES
        ]
        expected = [matcher(section, contents, *attempt) for attempt in attempts]
        passed = [None if number in (None, BLOCK) else mark_of(number or 0, MASK) for number in expected]
        assert dict(zip(attempts, lab.marks_of(system, attempts))) == dict(zip(attempts, passed))
        decided.update(expected)
        run_here("conntrack", "-F")
    assert decided == {None, DIRECT, BLOCK, US, EU}  # else the test would have proven little


def test_every_protocol_and_number_of_ports_is_spelled_as_the_kernel_prints_it(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    lab.refuse_nothing()
    many = tuple(Ports(port, port + port % 3) for port in range(10, 400, 10))
    section = with_rules(
        backend,
        *(MarkRule(("sw4d1",), US, (), (name,)) for name in ("tcp", "udp", "icmp", "sctp", "gre", "esp", "ah")),
        *(MarkRule((), EU, (), ("tcp", "udp", "sctp"), ports) for ports in (many, many[:1], many[:2])),
        MarkRule((), US, (), ("tcp", "udp", "icmp", "gre")),
    )
    bring(system, backend, the_sets(), section)
    assert planned(system, backend, section) == []
    assert lab.marks_of(system, [Attempt(ONE, "192.0.2.1", "tcp", 382), Attempt(ONE6, "2001:db8:9::1", "icmp", 0)]) == [
        mark_of(EU, MASK),
        mark_of(US, MASK),
    ]


def test_a_list_in_one_country_only(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Names of a list that are in a network as well, on one port."""
    lab.refuse_nothing()
    section = with_rules(backend, MarkRule(("sw4d1",), US, (("sw4n1",),), ("tcp",), (Ports(443, 443),)))
    bring(system, backend, the_sets(), section)
    learn(backend, "sw4d1", "198.51.100.1", "192.0.2.1")
    learn(backend, "sw6d1", "2001:db8:1::1", "2001:db8:9::1")
    ways = {
        Attempt(ONE, "198.51.100.1", "tcp", 443): US,
        Attempt(ONE, "198.51.100.1", "tcp", 80): DIRECT,
        Attempt(ONE, "198.51.100.1", "udp", 443): DIRECT,
        Attempt(ONE, "192.0.2.1", "tcp", 443): DIRECT,  # only on the list
        Attempt(ONE, "198.51.100.2", "tcp", 443): DIRECT,  # only in the network
        Attempt(ONE6, "2001:db8:1::1", "tcp", 443): US,
        Attempt(ONE6, "2001:db8:9::1", "tcp", 443): DIRECT,
    }
    assert lab.marks_of(system, list(ways)) == [mark_of(number, MASK) for number in ways.values()]


def test_the_hour_changes_only_the_chains_of_its_policies(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    lab.refuse_nothing()
    hours = Schedule(hours=(Span(8 * 60, 17 * 60),))
    section = with_rules(backend, MarkRule(("sw4n1",), EU, schedule=hours), default=US)
    eight = 8 * 3600.0
    before, during = at(section, eight - 1), at(section, eight)
    bring(system, backend, the_sets(), before)
    attempt = Attempt(ONE, "198.51.100.1", "tcp", 80)
    assert lab.marks_of(system, [attempt]) == [mark_of(US, MASK)]
    changed = bring(system, backend, the_sets(), during)
    assert len(changed) <= 4, changed
    run_here("conntrack", "-F")
    assert lab.marks_of(system, [attempt]) == [mark_of(EU, MASK)]
    assert planned(system, backend, during) == []


def test_a_name_whose_rule_has_a_port_from_now_on_never_takes_the_default_way(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    """It leaves the set that it was on with others; the one that it comes to knows its addresses from the journal."""
    lab.refuse_nothing()

    def variables(*rules: dict[str, Any]) -> dict[str, Any]:
        alice = {"name": "alice", "addresses": [ONE, ONE6], "rules": [*rules]}
        return {**topology(backend), "splitway_clients": [alice]}

    gateway = Gateway(system, lab, variables({"domain": ["a.example", "b.example"], "egress": "us"}))
    store = gateway.store
    learn(backend, "sw4d1", "198.51.100.1", "198.51.100.2")
    journal = Journal(location(system))
    now = int(time.time())
    journal.write(
        [
            Pair(f"198.51.100.{number}", name, now, now + 80000, ("sw4d1",))
            for number, name in ((1, "a.example"), (2, "b.example"))
        ],
        0,
    )
    journal.close()
    store.publish(dataclasses.replace(store.generation(), dns=gateway.state.dns, agent=gateway.state.agent))
    rules = ({"domain": "a.example", "port": 443, "egress": "us"}, {"domain": "b.example", "egress": "eu"})
    state = compile_state(parse(variables(*rules)), store.generation().numbers)
    begin(store, "run")
    for section in ("routes", "sets"):
        bring_section(store, section, getattr(state, section), backend=backend, transaction="run", purge=True)
    store.staging.stage("dns", state.dns, None, False)
    bring_section(store, "marks", state.marks, backend=backend, transaction="run", purge=True)
    ways = {
        Attempt(ONE, "198.51.100.1", "tcp", 443): gateway.number("us"),
        Attempt(ONE, "198.51.100.1", "tcp", 80): DIRECT,
        Attempt(ONE, "198.51.100.2", "tcp", 80): gateway.number("eu"),
    }
    assert lab.marks_of(system, list(ways)) == [mark_of(number, MASK) for number in ways.values()]
