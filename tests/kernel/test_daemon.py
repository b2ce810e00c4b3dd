# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole agent as a process of its own: what it lives through, and that it ends when it is told to."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional
from unittest import mock

import pytest
from namespaces import NamespaceSystem, run_here, wait_for
from test_healing import gateway, operator, peer_of, run_site

from splitway.agent import control
from splitway.store import Store
from splitway.transaction import begin

__all__ = ["gateway"]
PROGRAM = Path(__file__).parents[1] / "bench" / "benchkit" / "agent.py"
pytestmark = pytest.mark.parametrize("gateway", ["nftables"], indirect=True)


@contextlib.contextmanager
def agent(system: NamespaceSystem, times: Optional[Mapping[str, float]] = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run the agent; it is to run until the end, and to end at once.

    `times`: other values for constants of its modules, "upstreams.fitting.SOON" → seconds.
    """
    command = ["/usr/bin/python3", str(PROGRAM), str(system.configuration.parent)]
    command += [f"--set={name}={seconds}" for name, seconds in (times or {}).items()]
    with (system.configuration.parent / "agent.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        with mock.patch.object(control, "PATIENCE", 30.0):  # the agent of a busy machine takes its time
            wait_for(lambda: process.poll() is not None or answers(system), "the agent", 60)
            yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()


def answers(system: NamespaceSystem) -> bool:
    with contextlib.suppress(control.AgentError):
        return bool(control.ask(system, "status"))
    return False


def test_a_generation_that_nobody_can_read_does_not_end_it(gateway: Store) -> None:
    system = gateway.system
    for name in ("state.json", "state.previous.json"):
        (system.configuration / name).write_text("{")
    with agent(system) as process:
        assert "is damaged" in control.ask(system, "status")["problem"]
        assert process.poll() is None


def test_a_run_that_cannot_be_rolled_back_does_not_end_it(gateway: Store) -> None:
    """Something that is not ours lies in a table of ours; once it is gone, the rest follows."""
    system = gateway.system
    with agent(system):
        run_here("ip", "route", "add", "192.0.2.0/24", "via", "10.90.0.9", "table", "101")
        began = time.time()
        begin(gateway, "run", deadline=0.5)
        wait_for(lambda: control.ask(system, "status")["drift"]["failures"], "the failure")
        drift = control.ask(system, "status")["drift"]
        assert drift["since"].keys() == drift["failures"].keys()
        assert int(began) <= min(drift["since"].values()) <= time.time()
        run_here("ip", "route", "del", "192.0.2.0/24", "table", "101")
        wait_for(lambda: gateway.transaction() is None, "the run to be ended")
        wait_for(lambda: not control.ask(system, "status")["drift"]["failures"], "all well")


def test_a_full_disk_does_not_end_it(gateway: Store) -> None:
    system = gateway.system
    system.data.mkdir(exist_ok=True)
    run_here("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(system.data))
    try:
        (system.data / "full").write_bytes(b"x" * 4096)
        with agent(system):  # what it knows is saved when it ends, at the latest
            run_here("wg", "set", "wg0", "peer", peer_of("wg0"), "endpoint", "10.90.0.9:9")
            wait_for(lambda: control.ask(system, "status")["clients"][0]["endpoint"], "the endpoint to be seen")
    finally:
        run_here("umount", str(system.data))


def test_a_client_whose_time_is_up_is_gone_within_seconds(gateway: Store) -> None:
    system, variables = gateway.system, operator("nftables")
    until = time.time() + 12
    variables["splitway_clients"][0]["expires"] = datetime.fromtimestamp(until, timezone.utc).isoformat()
    run_site(gateway, variables)
    with agent(system):
        assert peer_of("wg0")
        assert not control.ask(system, "status")["clients"][0]["expired"]
        wait_for(lambda: not run_here("wg", "show", "wg0", "peers"), "the client's end", until + 5 - time.time())
        assert time.time() >= int(until)
        assert control.ask(system, "status")["clients"][0]["expired"]
