# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway without power comes back by itself: nothing leaks, and names that clients know go the right way at once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from labkit.clients import CLIENTS, wait_for_names
from labkit.groups import wait_for_best_ways
from labkit.hosts import host, wait_until
from labkit.playbooks import playbook_succeeds
from labkit.power import leaks, power_cut, start_watch, stop_watch
from labkit.traffic import TARGETS
from labkit.ways import Wish, expectations, settled_ways

# Below a listed name: nobody but a client asks for it, so that only the agent's journal knows its addresses afterwards.
BELOW = "www.google.com"


def known_to(client: str) -> dict[Wish, str]:
    """Returns the addresses that a client's traffic goes to, asked for now, each with the way of its name."""
    found: dict[Wish, str] = {}
    for (target, family), way in expectations()[client].items():
        if target in (*TARGETS[client], BELOW):
            kind = {4: "A", 6: "AAAA"}[family]
            addresses = (
                [target] if target[-1].isdigit() else host(client).check_output(f"dig +short {kind} {target}").split()
            )
            found.update({(address, family): way for address in addresses})
    return found


def remembered() -> list[str]:
    """Returns the names whose answers the agent has written down."""
    program = "import sqlite3; print(*sqlite3.connect(%r).execute('SELECT name FROM answered'))"
    return host("gw").check_output("python3 -c %s", program % "/var/lib/splitway/journal.db").split("'")


@dataclass(frozen=True)
class Reboot:
    """What became of the gateway."""

    known: dict[str, dict[Wish, str]]  # addresses that each client knew before, with the ways of their names
    first: dict[str, dict[Wish, str]]  # the ways that they took, before anybody asked for a name again
    answered: frozenset[str]  # clients that got answers meanwhile
    leaks: list[str]


@pytest.fixture(scope="module")
def reboot(clients: None) -> Reboot:
    """The gateway lost its power while clients moved traffic, and is back."""
    known = {client: known_to(client) for client in CLIENTS}
    wait_until(lambda: BELOW in remembered(), "the agent to write down what was answered")
    start_watch({client: list(wishes) for client, wishes in known.items()})
    try:
        power_cut()
        wait_for_best_ways()
        first = {client: settled_ways(client, wishes) for client, wishes in known.items()}
    finally:
        answered = stop_watch()
    for client in CLIENTS:
        wait_for_names(client)
    return Reboot(known, first, answered, leaks())


def test_nothing_leaked(reboot: Reboot) -> None:
    assert reboot.answered == set(CLIENTS), "a client got no answer at all: its traffic proves nothing"
    assert reboot.leaks == []


def test_what_a_client_knew_goes_the_right_way_at_once(reboot: Reboot) -> None:
    assert reboot.first == reboot.known


@pytest.mark.parametrize("client", CLIENTS)
def test_every_way_is_back(client: str, reboot: Reboot) -> None:
    assert settled_ways(client, expectations()[client]) == expectations()[client]


def test_the_guard_was_there_before_the_network(reboot: Reboot) -> None:
    guard, network = (
        int(host("gw").check_output(f"systemctl show --property ActiveEnterTimestampMonotonic --value {unit}"))
        for unit in ("splitway-guard.service", "network-pre.target")
    )
    assert 0 < guard <= network


def test_no_unit_failed(reboot: Reboot) -> None:
    assert host("gw").check_output("systemctl --failed --no-legend") == ""


def test_the_gateway_is_as_it_should_be(reboot: Reboot) -> None:
    playbook_succeeds("verify.yml")
