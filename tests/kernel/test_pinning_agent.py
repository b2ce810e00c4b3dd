# SPDX-License-Identifier: GPL-3.0-or-later
"""Names under the whole agent, a process of its own on a gateway as site.yml leaves it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from namespaces import Network, run_here, wait_for
from test_daemon import agent
from test_healing import gateway, operator, run_site
from test_pins import tmp_path
from test_resolver import Answering

from splitway.agent import control
from splitway.agent.names import score_file
from splitway.reconcile import sets
from splitway.reconcile.dns.text import PINNED, paths
from splitway.store import Store

__all__ = ["gateway", "tmp_path"]
pytestmark = pytest.mark.parametrize("gateway", ["ipset", "nftables"], indirect=True)
NEAR, FAR = "203.0.113.7", "203.0.113.8"


def variables(backend: str, pin: bool = True) -> dict[str, Any]:
    found = operator(backend)
    del found["splitway_host_policy"]  # our dnsmasq is no user of its own here, whose questions would be let through
    found["splitway_lists"] = {
        "home": {"domains": ["home.example"], "pin": pin},
        "others": {"domains": ["first.example", "second.example"]},
    }
    rules = [{"list": "home", "egress": "direct"}, {"list": "others", "egress": "direct"}]
    found["splitway_policies"]["films"]["rules"] += rules
    found["splitway_clients"][0]["rules"] += rules
    found["splitway_resolving"] = {"interval": 2, "port": 8443}
    return found


def test_a_run_pins_names_and_unpins_them(gateway: Store, network: Network, tmp_path: Path) -> None:
    system, web, backend = gateway.system, network.namespaces["web"], gateway.generation().backend
    for address in (NEAR, FAR):
        web.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    zones = {"home.example": [NEAR, FAR], "first.example": ["203.0.113.9"], "second.example": ["203.0.113.10"]}
    answering = Answering(web, tmp_path / "web.json", "10.90.0.9", zones=zones)
    with web.entered():
        tried = socket.create_server(("", 8443), backlog=1000)  # of which each takes its place, since nobody accepts it

    def ask() -> list[str]:
        return run_here("dig", "@10.8.0.1", "+short", "home.example").split()

    def served() -> list[str]:
        return [entry["address"] for entry in control.ask(system, "names") if entry["place"]]

    run_site(gateway, variables(backend))
    told = paths(system).pinned / PINNED
    with tried, agent(system):
        wait_for(lambda: len(served()) == 2 and ask() == served(), "the pinned addresses", 60)
        learned = {entry for found in sets.read_learned(system, backend).values() for entry in found.remaining()}
        assert {NEAR, FAR} <= learned
        wait_for(lambda: "203.0.113.10" in str(sets.read_learned(system, backend)), "warm sets", 60)
        status = control.ask(system, "status")
        assert status["pinned"] == {"names": 1, "served": 1, "addresses": 2, "silent": 0}
        assert [entry["server"] for entry in status["resolvers"]] == ["10.90.0.9#53"]
        web.run("ip", "address", "delete", f"{served()[0]}/32", "dev", "lo")
        wait_for(lambda: len(served()) == 1 and ask() == served(), "the one that is left", 60)
        run_site(gateway, variables(backend, pin=False))
        wait_for(lambda: control.ask(system, "names") == [], "the agent to hear of it", 60)
        wait_for(lambda: not told.exists(), "dnsmasq to be told", 60)
        wait_for(lambda: sorted(ask()) == [NEAR, FAR], "what the resolver says", 60)
        run_site(gateway, variables(backend))
        wait_for(lambda: len(served()) == 1 and ask() == served(), "the pinned address", 60)
        assert told.exists()
    assert not told.exists()
    assert len(score_file.load(system)) == 2
    assert any(line.startswith("udp first.example") for line in answering.asked)
