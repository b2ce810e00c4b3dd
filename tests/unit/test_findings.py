# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a gateway to those who are not on it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.agent.snapshots import NOW, snapshot
from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT
from splitway import findings
from splitway.agent import control
from splitway.agent.errors import AgentError
from splitway.agent.figures.snapshot import to_plain
from splitway.compiler import compile_state
from splitway.state import State
from splitway.system import System
from splitway.topology import parse


def test_each_client_has_its_policy_and_each_policy_its_egresses() -> None:
    assert findings.ways(compile_state(parse(RIGHT), {})) == {
        "policies": {"policy family": ["direct", "us", "eu", "block"], "client bob": ["us", "direct"]},
        "clients": {"alice": "policy family", "bob": "client bob"},
    }
    assert findings.ways(State()) == {"policies": {}, "clients": {}}


def test_nobody_is_told_where_clients_connect_from(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = to_plain(snapshot())
    assert "192.0.2.7:40000" in str(plain)
    monkeypatch.setattr(control, "ask", lambda *_: plain)
    status, why = findings.asked(System())
    assert status is not None
    assert (status["taken"], why) == (NOW, "")
    assert "192.0.2.7:40000" not in str(status)


def test_without_an_agent_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: Any) -> Any:
        raise AgentError("the agent does not run on this host")

    monkeypatch.setattr(control, "ask", ask)
    assert findings.asked(System()) == (None, "the agent does not run on this host")
