# SPDX-License-Identifier: GPL-3.0-or-later
"""Established flows after a change, against the real conntrack table: exactly those that must move are deleted."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path

import pytest
from namespaces import NamespaceSystem, run_here
from traffic import (
    BACKENDS,
    CLIENTS,
    EU,
    MASK,
    NETWORKS,
    US,
    Lab,
    bring,
    forget,
    lab,
    learn,
    rule,
    the_marks,
    the_sets,
)

from splitway.reconcile import flows, sets
from splitway.state import FamilyMarks, Marks, mark_of

__all__ = ["lab"]
both = pytest.mark.parametrize("backend", BACKENDS)
ONE, TWO, _ = CLIENTS[4]
ONE6, TWO6, _ = CLIENTS[6]
PAIRS = [
    (ONE, "192.0.2.1"),
    (ONE, "198.51.100.1"),
    (ONE, "203.0.113.99"),
    (TWO, "198.51.100.1"),
    (TWO, "203.0.113.99"),
    (ONE6, "2001:db8:9::1"),
    (ONE6, "2001:db8:1::1"),
    (TWO6, "2001:db8:1::1"),
]


def change(
    system: NamespaceSystem, backend: str, old: Marks, new: Marks, networks: dict[str, tuple[str, ...]] = NETWORKS
) -> set[tuple[str, str]]:
    """Bring in the new rules as a transaction does; return (client, destination) of the flows that were ended."""
    before = set(flows.read(system))
    bring(system, backend, the_sets(networks=networks), new)
    learned = sets.members(system, backend)
    todo = flows.plan(old, the_sets(), new, the_sets(networks=networks), learned, flows.read(system, new))
    flows.apply(system, todo)
    ended = before - set(flows.read(system))
    assert ended == {item.payload for item in todo}
    return {(flow.source, flow.destination) for flow in ended}


def with_family(section: Marks, family: int, **parts: object) -> Marks:
    """Return the section with parts of a family's rules replaced."""
    name = f"v{family}"
    return dataclasses.replace(section, **{name: dataclasses.replace(getattr(section, name), **parts)})


def start(system: NamespaceSystem, lab: Lab, backend: str) -> Marks:
    section = the_marks(backend)
    bring(system, backend, the_sets(), section)
    learn(backend, "sw4d1", "192.0.2.1")
    learn(backend, "sw6d1", "2001:db8:9::1")
    assert None not in lab.marks(system, PAIRS)
    return section


@both
def test_no_change_and_no_expiry_ends_a_flow(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    section = start(system, lab, backend)
    forget(backend, "sw4d1", "192.0.2.1")
    forget(backend, "sw6d1", "2001:db8:9::1")
    assert change(system, backend, section, section) == set()


@both
def test_a_client_that_gets_another_policy_moves(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    section = start(system, lab, backend)
    moved = with_family(section, 4, clients={ONE: 2, TWO: 2})
    # 192.0.2.1 was us by the first policy's list and is us by the second's default: it stays.
    assert change(system, backend, section, moved) == {(ONE, "198.51.100.1"), (ONE, "203.0.113.99")}
    assert lab.marks(system, [(ONE, "198.51.100.1")]) == [mark_of(EU, MASK)]


@both
def test_a_rule_changed_moves_what_it_decides(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    section = start(system, lab, backend)
    first, second = section.v6.policies
    other = dataclasses.replace(first, rules=(rule("sw6d1 sw6n1", EU),))
    moved = with_family(section, 6, policies=(other, second))
    assert change(system, backend, section, moved) == {(ONE6, "2001:db8:9::1"), (ONE6, "2001:db8:1::1")}


@both
def test_a_network_added_moves_what_lies_in_it(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    section = start(system, lab, backend)
    networks = {**NETWORKS, "sw4n1": (*NETWORKS["sw4n1"], "203.0.113.96/29")}
    moved = the_marks(backend, networks)
    assert change(system, backend, section, moved, networks) == {(ONE, "203.0.113.99"), (TWO, "203.0.113.99")}


@both
def test_the_flows_of_a_removed_client_end(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    section = start(system, lab, backend)
    fewer = with_family(section, 4, clients={ONE: 1})
    assert change(system, backend, section, fewer) == {pair for pair in PAIRS if pair[0] == TWO}


@both
def test_a_connection_goes_on_when_its_verdict_stays(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    section = start(system, lab, backend)
    with (
        contextlib.closing(lab.open("198.51.100.9", TWO)) as stays,
        contextlib.closing(lab.open("192.0.2.9", TWO)) as moves,
    ):
        assert (stays.recv(100), moves.recv(100)) == (b"wg-up-2", b"wg-up-1")
        first, second = section.v4.policies
        new = with_family(section, 4, policies=(first, dataclasses.replace(second, default=EU)))
        assert (TWO, "192.0.2.9") in change(system, backend, section, new)
        stays.sendall(b"on")
        assert stays.recv(100) == b"on"


def test_without_old_rules_a_flow_must_have_its_new_mark(system: NamespaceSystem, lab: Lab) -> None:
    section = start(system, lab, "ipset")
    learned = sets.members(system, "ipset")
    assert flows.plan(None, (), section, the_sets(), learned, flows.read(system)) == ()
    moved = with_family(section, 4, clients={ONE: 2, TWO: 2})
    ended = flows.plan(None, (), moved, the_sets(), learned, flows.read(system))
    assert {item.payload.destination for item in ended} == {"198.51.100.1", "203.0.113.99"}
    assert flows.plan(section, the_sets(), None, (), learned, flows.read(system)) == ()


def test_a_flow_that_has_ended_meanwhile_is_no_error(system: NamespaceSystem, lab: Lab) -> None:
    section = start(system, lab, "ipset")
    todo = flows.plan(section, the_sets(), with_family(section, 4, clients={}), the_sets(), {}, flows.read(system))
    assert len(todo) == 5
    run_here("conntrack", "-F")
    flows.apply(system, todo)


def test_flows_that_are_not_classified_are_nobodys(system: NamespaceSystem) -> None:
    run_here("conntrack", "-I", "-p", "udp", "-s", ONE, "-d", "192.0.2.1", "--sport", "1", "--dport", "2", "-t", "60")
    run_here(
        "conntrack",
        "-I",
        "-p",
        "udp",
        "-s",
        "192.0.2.7",
        "-d",
        "192.0.2.1",
        "--sport",
        "1",
        "--dport",
        "2",
        "-t",
        "60",
        "--mark",
        "8192",
    )
    assert flows.plan(None, (), the_marks("ipset"), the_sets(), {}, flows.read(system)) == ()


def test_sizes(system: NamespaceSystem, tmp_path: Path) -> None:
    """10,000 flows: what it takes is printed, never asserted."""
    clients = {f"10.8.{i >> 8}.{i & 255}": 1 for i in range(256, 1256)}
    section = dataclasses.replace(the_marks("ipset"), v4=FamilyMarks(clients, the_marks("ipset").v4.policies, "sw4s"))
    lines = [
        f"-I -p udp -s {client} -d 192.0.2.{i} --sport {1000 + i} --dport 53 -t 600 --mark {mark_of(US, MASK)}"
        for client in clients
        for i in range(10)
    ]
    (tmp_path / "flows").write_text("\n".join(lines) + "\n")
    run_here("conntrack", "-R", str(tmp_path / "flows"))
    start = time.monotonic()
    found = flows.read(system, section)
    dumped = time.monotonic()
    todo = flows.plan(None, (), section, the_sets(), {}, found)
    judged = time.monotonic()
    flows.apply(system, todo)
    print(
        f"{len(found)} flows: dump {dumped - start:.3f} s, judge {judged - dumped:.3f} s, "
        f"delete {len(todo)} {time.monotonic() - judged:.3f} s"
    )
    assert len(todo) == len(lines)
    assert flows.read(system) == ()
