# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to the tunnel of an upstream that is down, with real devices and a real resolver."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import NamespaceSystem, run_here, wait_for

from splitway.agent.upstreams import repair
from splitway.reconcile.sections import RECONCILERS
from splitway.state import Device, Peer, State
from splitway.store import Store

KEY = "3CWDiHvYvXBr6AdVvELbKUdYUNeWBM3sXrvhiY1zDAk="
NAME = "exit.splitway.test"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Path]:
    """A /etc/hosts of the test's own."""
    path = tmp_path / "hosts"
    path.write_text(f"10.90.0.8 {NAME}\n")
    subprocess.run(["mount", "--bind", path, "/etc/hosts"], check=True)
    yield path
    subprocess.run(["umount", "/etc/hosts"], check=True)


def bring(system: NamespaceSystem, endpoint: str) -> Device:
    device = Device("us", "wg-up-1", None, ("10.64.0.2/32",), (Peer("us", KEY, ("0.0.0.0/0",), None, endpoint),))
    heal(system, device)
    return device


def heal(system: NamespaceSystem, device: Device) -> None:
    reconciler = RECONCILERS["upstreams"]
    state = State(upstreams=(device,))
    reconciler.apply(system, reconciler.changes(system, state))


def step(system: NamespaceSystem, device: Device, which: str) -> repair.Repaired:
    return repair.repair(Store(system), device, which, repair.look_up(repair.endpoint_of(device) or ""))


def endpoint() -> str:
    return run_here("wg", "show", "wg-up-1", "endpoints").split()[1]


def test_an_exit_that_changed_its_address_is_found_by_its_name(system: NamespaceSystem, hosts: Path) -> None:
    device = bring(system, f"{NAME}:51820")
    hosts.write_text(f"10.90.0.9 {NAME}\n")
    assert step(system, device, repair.ENDPOINT).words == "endpoint 10.90.0.9:51820, was 10.90.0.8:51820"
    assert endpoint() == "10.90.0.9:51820"
    assert RECONCILERS["upstreams"].changes(system, State(upstreams=(device,))) == ()  # no drift


def test_of_several_addresses_each_has_its_turn(system: NamespaceSystem, hosts: Path) -> None:
    device = bring(system, f"{NAME}:51820")
    hosts.write_text(f"10.90.0.8 {NAME}\n10.90.0.9 {NAME}\n")
    seen = []
    for _ in range(3):
        step(system, device, repair.ENDPOINT)
        seen.append(endpoint())
    assert seen == ["10.90.0.9:51820", "10.90.0.8:51820", "10.90.0.9:51820"]


def test_an_endpoint_that_roamed_away_is_taken_back(system: NamespaceSystem, hosts: Path) -> None:
    device = bring(system, "[2001:db8::8]:51820")
    run_here("wg", "set", "wg-up-1", "peer", KEY, "endpoint", "198.51.100.66:1")
    step(system, device, repair.ENDPOINT)
    assert endpoint() == "[2001:db8::8]:51820"


def test_a_name_that_has_no_address_changes_nothing(system: NamespaceSystem, hosts: Path) -> None:
    device = bring(system, f"{NAME}:51820")
    hosts.write_text("")
    start = time.monotonic()
    assert step(system, device, repair.ENDPOINT).words == f"no address was found for {NAME}:51820"
    assert time.monotonic() - start < repair.LOOK_UP + 1
    assert endpoint() == "10.90.0.8:51820"


def test_a_device_that_was_restarted_is_healed_to_what_it_was(system: NamespaceSystem, hosts: Path) -> None:
    device = bring(system, "10.90.0.8:51820")
    before = run_here("ip", "link", "show", "wg-up-1")
    repaired = step(system, device, repair.DEVICE)
    assert repaired.sections == ("upstreams", "routes")
    wait_for(lambda: "wg-up-1" in run_here("wg", "show", "interfaces"), "the device")
    assert run_here("ip", "link", "show", "wg-up-1") != before
    heal(system, device)
    assert endpoint() == "10.90.0.8:51820"
    assert "10.64.0.2" in run_here("ip", "address", "show", "wg-up-1")


def test_nothing_is_repaired_while_a_run_has_the_gateway(system: NamespaceSystem, hosts: Path) -> None:
    device = bring(system, f"{NAME}:51820")
    hosts.write_text(f"10.90.0.9 {NAME}\n")
    Store(system).open("run")
    for which in (repair.ENDPOINT, repair.DEVICE):
        assert step(system, device, which) == repair.Repaired()
    assert endpoint() == "10.90.0.8:51820"
