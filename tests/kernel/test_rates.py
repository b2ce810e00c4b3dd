# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates on a real kernel, judged by TCP: each client's is what was asked for, and nobody else's changes."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import subprocess
import time
from typing import Optional

import pytest
from namespaces import NamespaceSystem, ReadOnlySystem, run_here
from speed import Run, settles
from test_healing import operator, run_site
from traffic import BACKENDS, CLIENTS, Lab, bring, lab, the_marks, the_sets

from splitway.applying import rehearse
from splitway.compiler import compile_state
from splitway.compiler.rates import MAXIMUM_RATED
from splitway.reconcile import qos
from splitway.reconcile.base import Change, ReconcileError
from splitway.state import Qos, RatedClient
from splitway.store import Store
from splitway.topology import parse
from splitway.transaction import remove_all

__all__ = ["lab"]
VIDEO = {4: "198.51.100.1", 6: "2001:db8:1::1"}  # by the first client's policy through wg-up-1, the second's wg-up-2
MBIT = 1_000_000
UNLIMITED = 200  # megabits per second: what two busy processors move at the least, and no rate here


def rated(index: int, name: str, down: Optional[float] = None, up: Optional[float] = None) -> RatedClient:
    rates = (None if rate is None else int(rate * MBIT) for rate in (down, up))
    number = 1 if index == 0 else MAXIMUM_RATED  # the first class that there is, and the last one
    return RatedClient(name, number, (CLIENTS[4][index], CLIENTS[6][index]), *rates)


ALICE, BOB = rated(0, "alice", down=20, up=5), rated(1, "bob", down=8)


def bring_rates(system: NamespaceSystem, *clients: RatedClient) -> tuple[Change, ...]:
    desired = Qos("wg0", clients) if clients else None
    changes = qos.plan(desired, qos.read(system, desired))
    system.commands.clear()
    qos.apply(system, changes)
    assert qos.plan(desired, qos.read(system, desired)) == ()
    return changes


def runs(lab: Lab, client: int, exit_: str, *, down: bool, families: tuple[int, ...] = (4,)) -> list[Run]:
    return [
        Run(lab.client, lab.exits[exit_], CLIENTS[version][client], VIDEO[version], down=down) for version in families
    ]


def about(rate: float) -> object:
    return pytest.approx(rate, rel=0.1)


@pytest.mark.timed
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_client_gets_its_rate_and_others_are_as_before(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    bring(system, backend, the_sets(), the_marks(backend))
    bring_rates(system, ALICE, BOB)
    alice_down, alice_up = (runs(lab, 0, "wg-up-1", down=down, families=(4, 6)) for down in (True, False))
    bob_down, bob_up = (runs(lab, 1, "wg-up-2", down=down) for down in (True, False))

    def all_at_once(four: float, six: float, bob: float) -> bool:
        """The addresses of a client share one rate."""
        return four + six == about(20) and min(four, six) > 2 and bob == about(8)

    assert settles([*alice_down, *bob_down], all_at_once, 4)
    assert settles(alice_up, lambda four, six: four + six == about(5), 4)
    assert settles(bob_up, lambda rate: rate > UNLIMITED, 2), "bob's rate says nothing of up"
    bring_rates(system, ALICE)
    assert settles(bob_down, lambda rate: rate > UNLIMITED, 2)
    assert [lab.way(VIDEO[4]), lab.way(VIDEO[6])] == ["wg-up-1", "wg-up-1"], "rates change nothing about ways"


def queues() -> str:
    """Return what the host has of queues, of ifb devices and in our table."""
    table = subprocess.run(["nft", "list", "table", "netdev", "splitway"], capture_output=True, text=True, check=False)
    found = json.loads(run_here("tc", "-j", "qdisc"))
    roots = [(item["dev"], item["kind"], item["handle"], item.get("parent")) for item in found]
    return f"{roots} {run_here('ip', 'link', 'show', 'type', 'ifb')} {table.stdout}"


@pytest.mark.timed
def test_a_change_touches_one_class_and_a_removal_leaves_nothing(
    system: NamespaceSystem, read_only: ReadOnlySystem, lab: Lab
) -> None:
    bring(system, "ipset", the_sets(), the_marks("ipset"))
    before = queues()
    bring_rates(system, ALICE, BOB)
    (change,) = bring_rates(system, ALICE, rated(1, "bob", down=16))
    assert (change.what, change.before[-5:], change.after[-6:]) == ("down rate of client bob", "8mbit", "16mbit")
    assert [command.split()[0] for command in system.commands] == ["tc"] * len(system.commands)
    assert settles(runs(lab, 1, "wg-up-2", down=True), lambda rate: rate == about(16))
    wanted = Qos("wg0", (ALICE,))
    assert qos.plan(wanted, qos.read(read_only, wanted)), "a look changes nothing"
    assert {change.action for change in bring_rates(system)} == {"remove"}
    assert queues() == before


@pytest.mark.parametrize(
    "drift",
    [
        "tc qdisc del dev wg0 root",
        "tc qdisc del dev splitway-rates root",
        "tc qdisc del dev wg0 parent 5377:1",
        "tc class change dev wg0 parent 5377: classid 5377:1 htb rate 1gbit",
        "ip link del splitway-rates",
        "ip link set splitway-rates down",
        "nft flush ruleset",
        "nft delete element netdev splitway down4 { 10.8.0.2 }",
        "nft flush chain netdev splitway up",
    ],
)
def test_what_somebody_changed_is_brought_back(system: NamespaceSystem, lab: Lab, drift: str) -> None:
    bring_rates(system, ALICE, BOB)
    run_here(*shlex.split(drift))
    assert bring_rates(system, ALICE, BOB)
    assert system.commands


@pytest.mark.timed
def test_an_interface_that_was_made_anew_gets_its_rates(system: NamespaceSystem, lab: Lab) -> None:
    bring(system, "ipset", the_sets(), the_marks("ipset"))
    bring_rates(system, ALICE)
    run_here("ip", "link", "del", "wg0")
    addresses = tuple(f"{address}/16" for address in CLIENTS[4])
    lab.network.connect(lab.client, "wg0", ("10.8.0.1/16",), addresses)
    bring_rates(system, ALICE)
    assert settles(runs(lab, 0, "wg-up-1", down=True), lambda rate: rate == about(20))
    assert settles(runs(lab, 0, "wg-up-1", down=False), lambda rate: rate == about(5))


def test_somebody_elses_queue_is_named_and_left(system: NamespaceSystem, lab: Lab) -> None:
    run_here("tc", "qdisc", "add", "dev", "wg0", "root", "handle", "1:", "htb")
    before = queues()
    with pytest.raises(ReconcileError, match=r"wg0 has somebody else's queue \(htb 1:\).*tc qdisc del dev wg0 root"):
        bring_rates(system, ALICE)
    assert queues() == before


def test_other_tables_and_queues_are_left_alone(system: NamespaceSystem, lab: Lab) -> None:
    run_here(
        "nft", "add table netdev other; add chain netdev other mine { type filter hook ingress device wg0 priority 5; }"
    )
    run_here("tc", "qdisc", "add", "dev", "uplink", "root", "handle", "5:", "htb")
    run_here("ip", "link", "add", "ifb7", "type", "ifb")
    before = queues() + run_here("nft", "list", "ruleset")
    bring_rates(system, ALICE)
    bring_rates(system)
    assert queues() + run_here("nft", "list", "ruleset") == before


def test_thousands_of_rates_are_there_in_seconds_and_one_more_at_once(system: NamespaceSystem, lab: Lab) -> None:
    many = tuple(
        RatedClient(f"c{number}", number, (f"10.8.{number >> 8}.{number & 255}", f"fdcc::{number:x}"), MBIT, MBIT)
        for number in range(1, 5001)
    )
    began = time.process_time() + sum(os.times()[2:4])
    bring_rates(system, *many)
    worked = time.process_time() + sum(os.times()[2:4]) - began
    print(f"5,000 clients: {worked:.2f} s of work, the reading back included")
    assert worked < 20
    changes = bring_rates(system, *many, BOB)
    assert len(changes) == 3, "a class and an address of each family"
    assert len(bring_rates(system, *many)) == 3


def test_runs_bring_rates_and_take_them_away(system: NamespaceSystem, read_only: ReadOnlySystem) -> None:
    store, before = Store(system), queues()
    variables = operator("ipset")
    state = compile_state(parse(variables), {})
    assert state.qos is not None
    rehearse(Store(read_only), state)  # on a host that has no wg0 yet
    run_site(store, variables)
    assert "5377:" in run_here("tc", "class", "show", "dev", "wg0")
    del variables["splitway_clients"][0]["rate"]
    run_site(store, variables)
    assert "splitway-rates" not in queues()
    run_here("tc", "qdisc", "replace", "dev", "wg0", "root", "handle", "1:", "htb")
    with pytest.raises(ReconcileError, match="wg0 has somebody else's queue"):
        rehearse(Store(read_only), dataclasses.replace(state, numbers=store.generation().numbers))
    run_here("tc", "qdisc", "del", "dev", "wg0", "root")
    run_site(store, operator("ipset"))
    remove_all(store)
    assert queues() == before
