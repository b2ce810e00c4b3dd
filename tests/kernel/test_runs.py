# SPDX-License-Identifier: GPL-3.0-or-later
"""Later runs of a topology, step by step: in between no packet takes a way that neither topology allows."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any

import pytest
from namespaces import NamespaceSystem
from test_groups import goes_on
from traffic import BACKENDS, CLIENTS, Lab, captured, forget, lab, learn

from splitway import applying
from splitway.agent.names.journal import Journal, Pair, location
from splitway.compiler import compile_state
from splitway.reconcile import flows, sets
from splitway.state import State
from splitway.store import Store
from splitway.topology import parse
from splitway.transaction import begin, bring, commit, roll_back

__all__ = ["lab"]
both = pytest.mark.parametrize("backend", BACKENDS)
SECTIONS = ("sets", "marks")  # the Lab has tunnels and tables of its own


def topology(backend: str, **variables: Any) -> dict[str, Any]:
    """Return an operator's variables with one client, and the two upstreams that the Lab has."""
    upstream = {"endpoint": "192.0.2.9:51820", "public_key": "3CWDiHvYvXBr6AdVvELbKUdYUNeWBM3sXrvhiY1zDAk="}
    return {
        "splitway_backend": backend,
        "splitway_server": {"addresses": ["10.8.0.1/16", "fdcc::1/64"]},
        "splitway_upstreams": [{"name": name, **upstream} for name in ("us", "eu")],
        "splitway_clients": [{"name": "alice", "addresses": [CLIENTS[4][0], CLIENTS[6][0]], "policy": "family"}],
        **{f"splitway_{name}": value for name, value in variables.items()},
    }


class Gateway:
    """A gateway in the Lab: runs a topology step by step."""

    def __init__(self, system: NamespaceSystem) -> None:
        self.store = Store(system)

    def steps(self, variables: dict[str, Any], confirm: float = 0) -> Any:
        """Yield after each step of a run but its commit, which comes last; its name."""
        begin(self.store, "run")
        state = compile_state(parse(variables), self.store.generation().numbers)
        for section in SECTIONS:
            bring(self.store, section, getattr(state, section), backend=state.backend, transaction="run", purge=True)
            yield section
        commit(self.store, "run", state.numbers, confirm=confirm)
        yield "commit"

    def run(self, variables: dict[str, Any]) -> State:
        """Run a topology; return the generation."""
        assert list(self.steps(variables))[-1] == "commit"
        return self.store.generation()


def rules(**egresses: str) -> list[dict[str, str]]:
    return [{"domain": f"{name}.example", "egress": egress} for name, egress in egresses.items()]


def with_films(system: NamespaceSystem, lab: Lab, backend: str) -> Gateway:
    """Return a gateway on which a name of alice's rules has been asked for: it leads to `us`."""
    gateway = Gateway(system)
    state = gateway.run(topology(backend, policies={"family": {"rules": rules(films="us", bank="direct")}}))
    learned = next(entry.name for entry in state.sets if entry.comment.endswith("/us") and entry.timeout)
    learn(backend, learned, "192.0.2.1")
    assert lab.way("192.0.2.1") == "wg-up-1"
    return gateway


@both
def test_a_name_whose_egress_changes_goes_there_at_once(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    gateway = with_films(system, lab, backend)
    changed = topology(backend, policies={"family": {"rules": rules(films="eu", bank="direct")}})
    assert [lab.way("192.0.2.1") for _ in gateway.steps(changed)] == ["wg-up-1", "wg-up-2", "wg-up-2"]


@both
def test_a_name_goes_on_when_its_policy_or_upstream_gets_another_name(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    gateway = with_films(system, lab, backend)
    renamed = topology(backend, policies={"home": {"rules": rules(films="us", bank="direct")}})
    renamed["splitway_clients"][0]["policy"] = "home"
    assert [lab.way("192.0.2.1") for _ in gateway.steps(renamed)] == ["wg-up-1"] * 3
    renamed["splitway_upstreams"][0]["name"] = "usa"
    renamed["splitway_policies"] = {"home": {"rules": rules(films="usa", bank="direct")}}
    state = compile_state(parse(renamed), gateway.store.generation().numbers)
    assert {entry.name for entry in state.sets if entry.timeout} == {
        entry.name for entry in gateway.store.generation().sets if entry.timeout
    }


def ways_of_flows(system: NamespaceSystem) -> dict[str, int]:
    """Return destination → mark of each flow of the first client."""
    return {flow.destination: flow.mark for flow in flows.read(system) if flow.source == CLIENTS[4][0]}


@both
def test_a_flow_begun_in_a_run_that_is_rolled_back_ends(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    gateway = with_films(system, lab, backend)
    changed = topology(backend, policies={"family": {"rules": rules(films="eu", bank="direct")}})
    steps = gateway.steps(changed)
    assert [next(steps), next(steps)] == list(SECTIONS)
    assert lab.way("192.0.2.1") == "wg-up-2"
    assert lab.way("192.0.2.77") == "uplink"
    roll_back(gateway.store, "run")
    assert list(ways_of_flows(system)) == ["192.0.2.77"]
    assert lab.way("192.0.2.1") == "wg-up-1"


@both
def test_a_flow_of_an_upstream_that_is_gone_never_leaves_by_its_successor(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    """The address of its name had expired, so that neither the old nor the new rules said a word about it."""
    gateway = with_films(system, lab, backend)
    (learned,) = (name for name, members in sets.members(system, backend).items() if "192.0.2.1" in members)
    forget(backend, learned, "192.0.2.1")
    gone = topology(backend, policies={"family": {"rules": rules(films="eu")}})
    del gone["splitway_upstreams"][0]
    gateway.run(gone)
    assert "192.0.2.1" not in ways_of_flows(system)


def remembered(gateway: Gateway, state: State) -> None:
    """Let the journal know the name of alice's rules, as on a gateway with names and an agent."""
    now = int(time.time())
    journal = Journal(location(gateway.store.system))
    (learned,) = (entry.name for entry in state.sets if entry.comment.endswith("/us") and entry.family == 4)
    journal.write([Pair("192.0.2.1", "films.example", now, now + 80000, (learned,))], 0)
    journal.close()
    published = gateway.store.generation()
    gateway.store.publish(dataclasses.replace(published, dns=state.dns, agent=state.agent))


@pytest.mark.parametrize("gone", ["the backend", "the list"])
@both
def test_a_run_that_is_not_confirmed_leaves_no_gap_for_a_name(
    system: NamespaceSystem, lab: Lab, backend: str, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learned sets that its commit has removed are made anew; nobody has asked for the name since."""
    monkeypatch.setattr(applying, "SECTIONS", SECTIONS)
    gateway = with_films(system, lab, backend)
    policies = {"family": {"rules": rules(films="us", bank="direct")}}
    remembered(gateway, compile_state(parse(topology(backend, policies=policies)), gateway.store.generation().numbers))
    before = gateway.store.generation()
    if gone == "the backend":
        (other,) = set(BACKENDS) - {backend}
        risky = topology(other, policies=policies)
    else:
        risky = topology(backend, policies={"family": {"rules": rules(bank="direct"), "default": "us"}})
    with contextlib.closing(lab.open("192.0.2.1")) as flow, captured(lab.exits["uplink"], "uplink") as clear:
        assert flow.recv(100) == b"wg-up-1"
        for step in gateway.steps(risky, confirm=60):
            assert lab.way("192.0.2.1") == "wg-up-1", step
        roll_back(gateway.store, "run")
        assert gateway.store.generation() == before
        assert lab.way("192.0.2.1") == "wg-up-1"
        assert goes_on(flow)
    assert clear == []
