# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that nobody confirms, on a real kernel: the host is what it was, within five seconds after the time."""

from __future__ import annotations

import argparse
import threading
import time
from typing import Any

import pytest
from namespaces import NamespaceSystem, run_here, wait_for
from test_daemon import agent
from test_healing import gateway, in_time, operator

from splitway.agent import awaiting
from splitway.applying import drift
from splitway.compiler import compile_state
from splitway.state import SECTIONS, State
from splitway.store import Store
from splitway.topology import parse
from splitway.transaction import begin, bring, commit

__all__ = ["gateway"]


def run(store: Store, variables: dict[str, Any], seconds: float) -> None:
    """Do what a run of site.yml does, up to the commit that waits to be confirmed."""
    begin(store, "risky")
    state = compile_state(parse(variables), store.generation().numbers)
    for section in SECTIONS:
        backend = state.backend if section in ("sets", "marks") else None
        bring(store, section, getattr(state, section), backend=backend, transaction="risky", purge=True)
    commit(store, "risky", state.numbers, confirm=seconds)


def another(backend: str) -> dict[str, Any]:
    """Return the topology without its client, its LAN and its office's ways, with another upstream."""
    variables = operator(backend)
    return {**variables, "splitway_clients": [], "splitway_lan_clients": [], "splitway_policies": {}} | {
        "splitway_host_policy": None,
        "splitway_upstreams": [{**variables["splitway_upstreams"][0], "name": "eu"}],
    }


def number_of_wg0(store: Store) -> object:
    return store.system.interface_index("wg0")


@pytest.mark.parametrize("gateway", ["ipset"], indirect=True)
def test_the_agent_goes_back_and_what_need_not_change_does_not(gateway: Store) -> None:
    before = gateway.generation()
    link = number_of_wg0(gateway)

    def trial() -> float:
        run(gateway, another("ipset"), 4)
        over = time.monotonic() + 4
        assert gateway.generation() != before
        wait_for(lambda: gateway.unconfirmed() is None, "the run to be rolled back", 60)
        late = time.monotonic() - over
        assert gateway.generation() == before
        return late

    with agent(gateway.system):
        assert in_time(trial)
        wait_for(lambda: not any(drift(gateway, before).values()), "no drift")
        assert number_of_wg0(gateway) == link, "wg0 was not made anew"


@pytest.mark.parametrize("gateway", ["nftables"], indirect=True)
def test_without_an_agent_who_sits_beside_the_run_does(gateway: Store) -> None:
    before = gateway.generation()

    def trial() -> float:
        run(gateway, another("nftables"), 1)
        over = time.monotonic() + 1
        awaiting.run(argparse.Namespace(identifier="risky"), gateway.system)
        late = time.monotonic() - over
        assert gateway.generation() == before
        return late

    assert in_time(trial)
    assert not any(drift(gateway, before).values())


def test_a_first_run_that_is_cut_off_leaves_nothing(system: NamespaceSystem) -> None:
    store = Store(system)
    rules = run_here("ip", "rule"), run_here("ip", "-6", "rule")
    begin(store, "risky", deadline=60)
    beside = threading.Thread(target=awaiting.run, args=(argparse.Namespace(identifier="risky"), system))
    beside.start()
    state = compile_state(parse(operator("ipset")), {})
    for section in ("transports", "upstreams", "routes", "sets"):  # and then the controller is gone
        backend = "ipset" if section == "sets" else None
        bring(store, section, getattr(state, section), backend=backend, transaction="risky", purge=True)
    assert "wg-up-1" in run_here("ip", "link")
    store.open("risky", 0.5)
    beside.join(60)
    assert not beside.is_alive()
    assert store.transaction() is None
    assert (run_here("ip", "rule"), run_here("ip", "-6", "rule")) == rules
    assert "wg-up-1" not in run_here("ip", "link")
    assert not any(drift(store, State()).values())


def test_an_agent_that_removes_itself_leaves_no_file(system: NamespaceSystem) -> None:
    """From inside its unit the folders that it may write to are mounts, which cannot go."""
    folder = system.root / "usr/lib/splitway"
    system.write_file(folder / "version" / "code.py", "")
    run_here("mount", "--bind", str(folder), str(folder))
    try:
        system.remove_folder(folder)
        assert list(folder.iterdir()) == []
    finally:
        run_here("umount", str(folder))
    system.remove_folder(folder)
    assert not folder.exists()
