# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel and its tools do at and beyond their limits, and what we make of it. docs/limits.md has the table."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from namespaces import NamespaceSystem, run_here
from traffic import BACKENDS

from splitway.agent.names import learned
from splitway.agent.names.journal import Journal
from splitway.compiler.names import line
from splitway.reconcile import sets
from splitway.state import AddressSet, Agent, Dns, State

both = pytest.mark.parametrize("backend", BACKENDS)
ROOM = 3  # what the small sets of these tests hold


def small_set(backend: str, name: str) -> None:
    if backend == "ipset":
        run_here("ipset", "create", name, "hash:ip", "timeout", "600", "maxelem", str(ROOM))
    else:
        body = f"type ipv4_addr; flags timeout,dynamic; timeout 1200s; size {ROOM};"
        run_here("nft", f"add table inet splitway; add set inet splitway {name} {{ {body} }}")


@both
def test_a_full_set_refuses_its_own_new_addresses_and_nothing_else(
    system: NamespaceSystem, tmp_path: Path, backend: str
) -> None:
    """What is in it is refreshed, other sets fill, and how many were refused is known."""
    lines = tuple(line(f"list{number}.example", (number,), backend) for number in (1, 2))
    wanted = tuple(AddressSet(f"sw4d{number}", 4, 600) for number in (1, 2))
    state = State(backend, sets=wanted, dns=Dns("wg0", (), lines), agent=Agent("x", retention=600))
    for item in wanted:
        small_set(backend, item.name)
    journal, names = Journal(tmp_path / "journal.db"), learned.Names(lines)
    now = time.time()
    journal.note("list1.example", [f"192.0.2.{number}" for number in range(ROOM - 1)], now)
    assert learned.refresh(system, state, journal, names, now).refused == {}
    journal.note("list1.example", [f"192.0.2.{number}" for number in range(10, 15)], now)
    journal.note("list2.example", ["198.51.100.1"], now)
    done = learned.refresh(system, state, journal, names, now)
    assert (done.refused, done.added) == ({"sw4d1": 4}, {"sw4d1": 1, "sw4d2": 1})
    held = sets.members(system, backend)
    assert (len(held["sw4d1"]), held["sw4d2"]) == (ROOM, {"198.51.100.1"})

    again = learned.refill(system, state, journal, names, now + 1)
    assert (again.refused, again.added) == ({"sw4d1": 4}, {})
    for address in sorted(held["sw4d1"])[:2]:  # they expire
        sets.renew(system, backend, {}, {"sw4d1": [address]})
    last = learned.refill(system, state, journal, names, now + 2)
    assert (sum(last.refused.values()), last.added) == (4, {"sw4d1": 2})
    journal.close()


@both
def test_what_a_full_set_holds_is_refreshed(system: NamespaceSystem, backend: str) -> None:
    small_set(backend, "sw4d1")
    held = {f"192.0.2.{number}": 100 for number in range(ROOM)}
    assert sets.renew(system, backend, {"sw4d1": held}, {}) == {}
    more = {"192.0.2.99": 300, **dict.fromkeys(held, 300)}
    assert sets.renew(system, backend, {"sw4d1": more}, {}) == {"sw4d1": 1}
    left = sets.read_learned(system, backend)["sw4d1"].remaining()
    assert left.keys() == held.keys()
    assert min(left.values()) >= 290
