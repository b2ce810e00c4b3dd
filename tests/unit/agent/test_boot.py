# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring over a pretended kernel: in which order, what waits for what, and when nothing is touched."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pytest

from splitway import applying, transaction
from splitway.agent import boot
from splitway.agent.errors import AgentError
from splitway.agent.healing import heal
from splitway.agent.healing.generation import Generation
from splitway.agent.upstreams import repair, switch
from splitway.choices import Choice
from splitway.reconcile.base import ADD, Change, ReconcileError
from splitway.reconcile.routes.sysctl import Setting
from splitway.reconcile.sections import Reconciler
from splitway.state import SECTIONS, AddressSet, Device, State, Way
from splitway.store import Held, Store
from splitway.system import System

GENERATION = State(sets=(AddressSet("sw4d1", 4, 60),))
EARLY = argparse.Namespace(early=True)
WHOLE = argparse.Namespace(early=False)


class Host:
    """What was done, in order; each section lacks one thing, routes lack forwarding besides."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.broken = ""

    def reconciler(self, section: str) -> Reconciler:
        def plan(_state: State, done: bool) -> tuple[Change, ...]:
            wanted = [Change(ADD, section)]
            if section == "routes":
                wanted.append(Change(ADD, "forwarding", payload=Setting("net/ipv4/ip_forward", "1")))
            return () if done else tuple(wanted)

        def apply(_system: System, changes: tuple[Change, ...]) -> None:
            if section == self.broken:
                raise ReconcileError(f"{section} cannot be made")
            self.log += [change.what for change in changes]

        return Reconciler(lambda _system, _state: section in self.log, plan, apply)

    def refill(self, _state: State) -> int:
        self.log.append("addresses")
        return 1


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    pretended = Host()
    reconcilers = {section: pretended.reconciler(section) for section in SECTIONS}
    for module in (boot, heal, applying):
        monkeypatch.setattr(module, "RECONCILERS", reconcilers)
    monkeypatch.setattr(System, "journal", lambda _system, _identifier, _text: None)
    return pretended


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(System(tmp_path / "etc", tmp_path / "run", tmp_path / "log", tmp_path / "data"))
    made.publish(GENERATION)
    return made


def test_the_clients_interface_comes_last_and_addresses_before_names(host: Host, store: Store) -> None:
    done = boot.restore(store, host.refill)
    assert host.log == [
        *("transports", "upstreams", "routes", "forwarding", "sets", "addresses"),
        *("dns", "marks", "server", "qos", "proxies", "web"),
    ]
    assert not done.failures


def test_early_there_are_no_tunnels_and_nothing_is_forwarded(host: Host, store: Store) -> None:
    assert boot.run(EARLY, store.system) == 0
    assert host.log == ["routes", "sets", "marks"]


@pytest.mark.parametrize("broken", ["upstreams", "dns"])
def test_what_cannot_be_brought_back_keeps_nothing_else_waiting(host: Host, store: Store, broken: str) -> None:
    host.broken = broken
    done = boot.restore(store, host.refill)
    assert set(done.failures) == {broken}
    assert host.log[-4:] == ["server", "qos", "proxies", "web"], "its queues need the interface"


@pytest.mark.parametrize("broken", ["routes", "sets", "marks"])
def test_nothing_comes_in_before_it_is_known_where_it_goes(host: Host, store: Store, broken: str) -> None:
    host.broken = broken
    done = boot.restore(store, host.refill)
    assert done.failures["server"] == f"wg0 waits for {broken}"
    assert "server" not in host.log
    host.broken = ""
    boot.restore(store, host.refill)
    assert host.log[-1] == "server"


@pytest.mark.parametrize("broken", ["routes", "sets", "marks"])
def test_nothing_comes_in_either_when_only_the_way_in_is_healed(host: Host, store: Store, broken: str) -> None:
    """Its way out may have failed before, and wait for its next attempt."""
    host.broken = broken
    done = heal.heal(store, store.generation, ["server"], host.refill)
    assert done.failures["server"] == f"wg0 waits for {broken}"
    assert "server" not in host.log


@pytest.mark.parametrize("broken", ["routes", "sets", "marks"])
def test_early_each_part_is_tried_and_the_failure_said(host: Host, store: Store, broken: str) -> None:
    host.broken = broken
    with pytest.raises(AgentError, match=f"{broken} cannot be made"):
        boot.run(EARLY, store.system)
    assert set(host.log) == {"routes", "sets", "marks"} - {broken}


def test_a_second_restoration_changes_nothing(host: Host, store: Store) -> None:
    boot.restore(store, lambda _state: 0)
    before = list(host.log)
    assert boot.restore(store, lambda _state: 0).changes == {}
    assert host.log == before


def test_nobody_who_has_the_gateway_is_waited_for(host: Host, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = [0.0]
    with monkeypatch.context() as patch, store.lock():
        patch.setattr(time, "monotonic", lambda: waited[0])
        patch.setattr(time, "sleep", lambda seconds: waited.append(waited.pop() + seconds))
        assert boot.restore(store, host.refill).busy
        assert boot.restore_early(store).busy
        assert repair.repair(store, Device("us", "wg-up-1", None, (), ()), repair.DEVICE, ()) == repair.Repaired()
        assert waited[0] < 1
        with pytest.raises(Held, match="somebody else is changing this gateway"):
            switch.switch(store, {}, {101: Choice((Way(101),))}, ())
        assert store.kept.choices.read() == {}
        assert waited[0] < 2 * switch.PATIENCE
    transaction.begin(store, "run")
    assert boot.restore(store, host.refill).busy
    assert boot.restore_early(store).busy
    assert host.log == []


def test_what_a_run_has_just_published_is_not_undone(host: Host, store: Store) -> None:
    """The agent looked before the run's commit, and gets the gateway after it."""
    looked = Generation(store)
    store.publish(State(sets=(AddressSet("sw4d2", 4, 60),)))
    done = heal.heal(store, lambda: looked.state if looked.current else None, SECTIONS, host.refill)
    assert done.busy
    assert host.log == []
    assert looked.refresh()
    assert not heal.heal(store, lambda: looked.state if looked.current else None, SECTIONS, host.refill).busy


def test_a_host_without_a_state_is_told_what_to_do_and_boots(host: Host, tmp_path: Path) -> None:
    system = System(tmp_path / "none", tmp_path / "run", tmp_path / "log", tmp_path / "data")
    assert boot.run(EARLY, system) == 0
    with pytest.raises(AgentError, match=r"run site\.yml"):
        boot.run(WHOLE, system)
    assert host.log == []


def test_a_damaged_generation_is_said_and_the_last_good_one_restored(
    host: Host, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.publish(State(sets=(AddressSet("sw4d2", 4, 60),)))
    path = store.system.configuration / "state.json"
    path.write_bytes(path.read_bytes()[:-9])
    boot.run(WHOLE, store.system)
    assert "state.json is damaged" in capsys.readouterr().err
    assert host.log[-4:] == ["server", "qos", "proxies", "web"], "its queues need the interface"
