# SPDX-License-Identifier: GPL-3.0-or-later
"""A pretended kernel under real transactions: each section has a few names, and all that is done is in a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitway import applying, transaction
from splitway.reconcile.base import ADD, REMOVE, Change, ReconcileError
from splitway.reconcile.sections import Reconciler
from splitway.state import SECTIONS, AddressSet, Device, Dns, FamilyMarks, Marks, Peer, Routes, State, Table
from splitway.store import Store
from splitway.system import System


def names_of(section: str, state: State) -> set[str]:
    """Return the pretended kernel objects of a section."""
    names: dict[str, set[str]] = {
        "upstreams": {device.interface for device in state.upstreams},
        "routes": {f"table {table.number}" for table in state.routes.tables},
        "sets": {entry.name for entry in state.sets},
        "dns": set(state.dns.lines) if state.dns else set(),
        "marks": set(state.marks.networks) if state.marks else set(),
        "server": {peer.name for peer in state.server.peers} if state.server else set(),
        "qos": {client.name for client in state.qos.clients} if state.qos else set(),
        "agent": {state.agent.engine} if state.agent else set(),
    }
    return names.get(section, set())


class Kernel:
    """What is there, by section, and the log of what was done."""

    def __init__(self) -> None:
        self.there: dict[str, set[str]] = {section: set() for section in SECTIONS}
        self.log: list[str] = []
        self.looked: list[str] = []
        self.broken = ""

    def reconciler(self, section: str) -> Reconciler:
        def plan(state: State, current: set[str]) -> tuple[Change, ...]:
            wanted = names_of(section, state)
            return (
                *(Change(ADD, name, after=name) for name in sorted(wanted - current)),
                *(Change(REMOVE, name, before=name) for name in sorted(current - wanted)),
            )

        def apply(_system: System, changes: tuple[Change, ...]) -> None:
            for change in changes:
                if change.what == self.broken:
                    raise ReconcileError(f"{change.what} cannot be made")
                self.log.append(f"{change.action} {change.what}")
                operation = self.there[section].add if change.action == ADD else self.there[section].discard
                operation(change.what)

        def read(_system: System, _state: State) -> set[str]:
            self.looked.append(section)
            return set(self.there[section])

        return Reconciler(read, plan, apply)


class QuietSystem(System):
    """A System that leaves the machine's journal alone."""

    def journal(self, identifier: str, text: str) -> None:
        pass


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    pretended = Kernel()
    reconcilers = {name: pretended.reconciler(name) for name in SECTIONS}
    for module in (applying, transaction):
        monkeypatch.setattr(module, "RECONCILERS", reconcilers)
        monkeypatch.setattr(module, "move_flows", lambda _system, _old, _new: None)
    return pretended


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(QuietSystem(tmp_path / "etc", tmp_path / "run", tmp_path / "log"))


def state(*, upstream: str = "wg-up-1", list_: str = "sw4d1", client: str = "alice") -> State:
    return State(
        numbers={"egress:us": 101},
        upstreams=(Device("us", upstream, None, (), ()),),
        routes=Routes((Table(int(upstream[-1]) + 100, "us", upstream),)),
        sets=(AddressSet(list_, 4, 60),),
        dns=Dns("wg0", (), (f"line {list_}",)),
        marks=Marks("wg0", "wg-up-", 0x3FFF, (), FamilyMarks(), FamilyMarks(), networks={f"chain {list_}": ()}),
        server=Device("server", "wg0", None, (), (Peer(client, "key", ()),)),
    )


def run(store: Store, wanted: State, identifier: str = "run") -> None:
    transaction.begin(store, identifier)
    steps(store, wanted, identifier)
    transaction.commit(store, identifier, wanted.numbers)


def steps(store: Store, wanted: State, identifier: str = "run") -> None:
    for section in SECTIONS:
        value = getattr(wanted, section)
        backend = wanted.backend if section in ("sets", "marks") else None  # the other modules know of none
        transaction.bring(store, section, value, backend=backend, transaction=identifier, purge=True)
