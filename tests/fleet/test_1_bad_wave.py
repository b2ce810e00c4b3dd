# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout that breaks in its second wave: that one is what it was, the first is done, the third never touched."""

from __future__ import annotations

import base64
import subprocess
import time

from fleetkit.flows import broken_since, wait_for_flows
from fleetkit.gateways import (
    GATEWAYS,
    PROMISED,
    TRANSACTION,
    UNCONFIRMED,
    back_in_a_hurry,
    generation,
    generations,
    is_there,
    same,
)
from fleetkit.rollouts import new_edition, roll_out
from labkit.hosts import container

# With the exit's own key WireGuard would hear of the exit by its next keepalive, and follow it to where it is.
NOBODY = {"endpoint": "10.90.0.250:51820", "public_key": base64.b64encode(bytes(range(32))).decode()}
LATER = ("gw4", "gw5", "gw6")


def test_the_fleet_is_there() -> None:
    """The rollout that made it, from plain hosts, is done."""
    again = roll_out()
    assert again.status == 0
    assert again.report["result"] == "done"
    assert again.names("there already") == set(GATEWAYS)


def test_a_gateway_that_does_not_answer_stops_a_rollout_before_it_begins() -> None:
    before = generations()
    subprocess.run(["docker", "pause", container("gw6")], check=True, capture_output=True)
    try:
        run = roll_out(fleet_edition=new_edition())
    finally:
        subprocess.run(["docker", "unpause", container("gw6")], check=True, capture_output=True)
    assert run.status != 0
    assert "gw6: not reachable. Nothing was changed anywhere." in run.output
    assert (run.report["result"], run.why("gw6")) == ("refused", "not reachable")
    assert generations() == before


def test_a_dead_upstream_in_the_second_wave(traffic: None) -> None:
    before, began = generations(), time.time()
    run = roll_out(fleet_edition=new_edition(), fleet_faults={"gw2": NOBODY})
    after = generations()
    assert run.status != 0
    assert (run.report["result"], run.report["wave"]) == ("stopped", 2)
    assert run.names("confirmed") == {"gw1"}
    assert run.names("rolled back") == {"gw2", "gw3"}
    assert run.names("untouched") == set(LATER)
    assert "upstream us" in run.why("gw2")
    assert run.why("gw3") == "its wave is stopped by gw2"
    assert not same(before["gw1"], after["gw1"])
    assert [name for name in ("gw2", "gw3") if not same(before[name], after[name])] == []
    assert {name: after[name] for name in LATER} == {name: before[name] for name in LATER}
    assert not any(is_there(name, UNCONFIRMED) for name in GATEWAYS)
    assert broken_since(began) == []
    wait_for_flows()


def test_a_route_that_cuts_the_controller_off(traffic: None) -> None:
    """Its upstream's network has the controller's address in it: answers to the controller go into the tunnel."""
    before, began = generations(), time.time()
    run = roll_out(
        "--limit", "gw2,gw3", fleet_edition=new_edition(), fleet_faults={"gw2": {"addresses": ["10.90.0.2/25"]}},
        splitway_rollout_waves=["100%"], splitway_confirm_timeout=40,
    )  # fmt: skip
    assert run.status != 0
    assert run.report["result"] == "stopped"
    assert run.names("rolled back") | run.names("lost") == {"gw2", "gw3"}
    assert "lost the host" in run.why("gw2") or "not reach" in run.why("gw2")
    assert run.why("gw3") == "its wave is stopped by gw2"
    if is_there("gw2", TRANSACTION):  # it was cut off before its commit, and waits for two minutes
        assert back_in_a_hurry("gw2") < PROMISED
    assert same(before["gw2"], generation("gw2"))
    assert {name: generation(name) for name in GATEWAYS if name not in ("gw2", "gw3")} == {
        name: before[name] for name in GATEWAYS if name not in ("gw2", "gw3")
    }
    assert same(before["gw3"], generation("gw3"))
    assert broken_since(began) == []
