# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows to an address that was just answered: those end that go where no rule sends them, and no others."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
from namespaces import NamespaceSystem
from test_groups import Gateway, topology
from test_switch import change, connected
from traffic import BACKENDS, Lab, lab

from splitway.agent.names.journal import Journal
from splitway.agent.names.learning import Learning
from splitway.reconcile import flows, sets
from splitway.state import Agent

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)
ONE = "10.8.0.2"
WEB, SHARED = "198.51.100.1", "198.51.100.2"


class Answering:
    """A gateway on which films.example leads alice to the group `fast`, and all else to the upstream eu."""

    def __init__(self, system: NamespaceSystem, lab: Lab, backend: str, path: Path) -> None:
        variables = topology(backend)
        variables["splitway_clients"][0].update(rules=[{"domain": "films.example", "egress": "fast"}], default="eu")
        self.system, self.backend, self.path = system, backend, path
        self.gateway = Gateway(system, lab, variables)
        store, dns = self.gateway.store, self.gateway.state.dns
        store.publish(dataclasses.replace(store.generation(), dns=dns, agent=Agent("engine", warm_up=False)))

    def answer(self, name: str, address: str) -> None:
        """Answer a client, and have the agent write that down."""
        sets.renew(self.system, self.backend, {"sw4d1": {address: 600}}, {})  # dnsmasq
        learning = Learning(self.gateway.store, Journal(self.path))
        learning.configure(self.gateway.store.generation())
        learning.journal.note(name, [address], time.time())
        learning.close()
        assert [pair.name for pair in Journal(self.path).pairs() if pair.address == address][-1:] == [name]

    def alive(self, address: str) -> set[bytes]:
        return {flow.identity for flow in flows.read(self.system) if flow.destination == address}


@pytest.fixture
def answering(system: NamespaceSystem, lab: Lab, backend: str, tmp_path: Path) -> Answering:
    return Answering(system, lab, backend, tmp_path / "journal.db")


def test_a_flow_that_began_before_its_address_was_learned_ends(answering: Answering, lab: Lab) -> None:
    with connected(lab, (WEB, ONE, "wg-up-2"), (SHARED, ONE, "wg-up-2")):
        young, other = answering.alive(WEB), answering.alive(SHARED)
        answering.answer("films.example", WEB)
        assert young.isdisjoint(answering.alive(WEB))
        assert other <= answering.alive(SHARED)
    assert lab.way(WEB) == "wg-up-1"


def test_a_flow_of_a_group_stays_whichever_member_is_chosen(answering: Answering, lab: Lab) -> None:
    gateway = answering.gateway
    answering.answer("a.films.example", WEB)
    with connected(lab, (WEB, ONE, "wg-up-1")):
        old = answering.alive(WEB)
        change(gateway, "fast", gateway.choice("fast/eu"))
        with connected(lab, (WEB, ONE, "wg-up-2")):
            both = answering.alive(WEB)
            assert len(both) == 2
            answering.answer("b.films.example", WEB)
            assert answering.alive(WEB) == both, "a failover is in force"
            change(gateway, "fast", gateway.choice("fast/us"))
            answering.answer("c.films.example", WEB)
            assert answering.alive(WEB) == both >= old, "and over"
