# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of a real gateway with a real agent, and what the report and verify.yml make of it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from namespaces import run_here, wait_for
from test_daemon import agent
from test_healing import gateway

from ansible_collections.splitway.gateway.plugins.plugin_utils.report.fleet import Gateway, gateway_of
from ansible_collections.splitway.gateway.plugins.plugin_utils.report.page import report
from ansible_collections.splitway.gateway.plugins.plugin_utils.report.tables import tables
from splitway import findings
from splitway.state import SECTIONS
from splitway.store import Store

__all__ = ["gateway"]
pytestmark = pytest.mark.parametrize("gateway", ["ipset"], indirect=True)


def found(store: Store) -> dict[str, Any]:
    """Return what splitway_info returns for a report, and the inventory's digest."""
    state = store.generation()
    status, why = findings.asked(store.system)
    look = {
        **findings.described(store, state),
        **findings.drifted(store, state, status),
        "problem": "",
        "figures": {**findings.ways(state), "agent": status, "agent_problem": why},
        "audit": findings.recorded(store.system, 20)[0],
    }
    return {"look": look, "digest": look["digest"]}


def seen(store: Store) -> Gateway:
    return gateway_of("gw", found(store), SECTIONS, findings.iso(time.time()))


def test_a_gateway_that_is_well_is_in_the_report_with_all_that_it_has(gateway: Store) -> None:
    with agent(gateway.system):
        wait_for(lambda: seen(gateway).verdict.differences == (), "all in order", 60)
        one = seen(gateway)
        assert one.agent["upstreams"][0]["name"] == "us"
        assert [client.name for client in one.clients] == ["alice"]
        assert "us" in next(iter(one.policies.values()))
        rows = {table.id: table.rows for table in tables([one])}
        assert [row[:2] for row in rows["upstreams"]] == [("gw", "us")]
        assert len(rows["sets"]) == len(gateway.generation().sets)
        assert "alice" in report({"gw": found(gateway)}, SECTIONS, "Gateways", time.time())


def test_what_cannot_be_healed_is_told_with_since_when(gateway: Store) -> None:
    with agent(gateway.system):
        wait_for(lambda: seen(gateway).verdict.differences == (), "all in order", 60)
        began = time.time()
        run_here("ip", "route", "add", "192.0.2.0/24", "via", "10.90.0.9", "table", "101")
        run_here("ip", "route", "del", "unreachable", "default", "table", "101")
        wait_for(lambda: "routes" in (findings.asked(gateway.system)[0] or {})["drift"]["failures"], "a failure", 60)
        time.sleep(1.5)  # so that `now` is another second than the one in which it was first seen
        [difference] = [one for one in seen(gateway).verdict.differences if one.check == "routes"]
        since = datetime.fromisoformat(difference.since).timestamp()
        assert int(began) <= since <= time.time() - 1
        assert seen(gateway).tone == "attention"
