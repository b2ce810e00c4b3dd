# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller that is killed in the middle of a run, and a gateway that reboots: it is what it was, by itself."""

from __future__ import annotations

import random
import subprocess
import time

from fleetkit.flows import broken_since, wait_for_flows
from fleetkit.gateways import (
    PROMISED,
    TRANSACTION,
    UNCONFIRMED,
    back_after,
    back_in_a_hurry,
    deadline,
    generation,
    is_there,
    require,
    same,
    uptime,
    wait_for_running,
)
from fleetkit.rollouts import controller, kill, new_edition
from labkit.hosts import container, wait_until

UNTIL_COMMIT = 240.0  # seconds that a run takes until then on a busy machine
HELD = {"splitway_gate": {"timeout": 15, "commands": [["sleep", "14"]]}}  # leaves time to kill it before it confirms


def test_killed_between_begin_and_commit(traffic: None) -> None:
    before, began = generation("gw3"), time.time()
    with controller("site.yml", "--limit", "gw3", fleet_edition=new_edition()) as running:
        wait_until(lambda: is_there("gw3", TRANSACTION), "the run to begin", UNTIL_COMMIT)
        time.sleep(random.uniform(0, 3))
        kill(running)
    if is_there("gw3", TRANSACTION):
        assert back_in_a_hurry("gw3") < PROMISED
    assert same(before, generation("gw3"))
    assert broken_since(began) == []
    wait_for_flows()


def test_killed_between_commit_and_confirmation(traffic: None) -> None:
    before, began = generation("gw3"), time.time()
    settings = {"fleet_edition": new_edition(), "splitway_confirm_timeout": 30, **HELD}
    with controller("rollout.yml", "--limit", "gw3", **settings) as running:
        wait_until(lambda: is_there("gw3", UNCONFIRMED), "the run to be committed", UNTIL_COMMIT)
        due = deadline("gw3", UNCONFIRMED)
        time.sleep(random.uniform(0, 5))
        kill(running)
    require(not same(before, generation("gw3")), "the run has changed nothing: it proves nothing")
    assert back_after("gw3", due, UNCONFIRMED) < PROMISED
    assert uptime() >= due - 1, "it went back although there was time to confirm it"
    assert same(before, generation("gw3"))
    assert broken_since(began) == []
    wait_for_flows()


def test_a_reboot_counts_as_not_confirmed() -> None:
    before = generation("gw5")
    settings = {"fleet_edition": new_edition(), "splitway_confirm_timeout": 600, **HELD}
    with controller("rollout.yml", "--limit", "gw5", **settings) as running:
        wait_until(lambda: is_there("gw5", UNCONFIRMED), "the run to be committed", UNTIL_COMMIT)
        kill(running)
    subprocess.run(["docker", "kill", container("gw5")], check=True, capture_output=True)
    subprocess.run(["docker", "start", container("gw5")], check=True, capture_output=True)
    wait_for_running("gw5")
    wait_until(lambda: not is_there("gw5", UNCONFIRMED), "gw5 to go back")
    assert same(before, generation("gw5"))
