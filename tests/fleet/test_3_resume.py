# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After all that: the next rollout goes on with those that are left, and finds them well."""

from __future__ import annotations

import time

from fleetkit.flows import broken_since, wait_for_flows
from fleetkit.gateways import GATEWAYS
from fleetkit.rollouts import new_edition, roll_out


def test_the_next_rollout_goes_on_with_those_that_are_left(traffic: None) -> None:
    edition, began, waves = new_edition(), time.time(), [1, "100%"]
    first = roll_out("--limit", "gw4", fleet_edition=edition)
    assert first.names("confirmed") == {"gw4"}
    run = roll_out(fleet_edition=edition, splitway_rollout_waves=waves)
    assert run.status == 0, run.output[-4000:]
    assert run.names("there already") == {"gw4"}
    assert run.report["waves"] == [["gw1"], ["gw2", "gw3", "gw5", "gw6"]]
    assert run.names("confirmed") == set(GATEWAYS) - {"gw4"}
    assert broken_since(began) == []
    wait_for_flows()
