# SPDX-License-Identifier: GPL-3.0-or-later
"""Explanations of rules that ask for more than a destination, or for what only the host knows."""

from __future__ import annotations

import copy
import dataclasses
from datetime import datetime, timezone
from typing import Any

from ansible_collections.splitway.gateway.tests.unit.explain.test_explain import FIELD
from splitway.compiler import compile_state
from splitway.explain import explain
from splitway.explain.text import explanation_text
from splitway.present import as_of, at
from splitway.state import State
from splitway.topology import parse

MONDAY = datetime(2026, 11, 23, 10, tzinfo=timezone.utc).timestamp()
RULES = [
    {"schedule": {"days": "mon", "hours": "09:00-17:00"}, "protocol": "icmp", "egress": "block"},
    {"list": "google", "protocol": "udp", "port": 443, "egress": "block"},
    {"list": "google", "country": "us", "egress": "eu"},
    {"port": ["25", "8000-8100"], "egress": "block"},
]
GOOGLE = "198.51.100.129"


def state(*rules: dict[str, Any]) -> State:
    variables = copy.deepcopy(FIELD)
    variables["splitway_policies"]["family"]["rules"] = [*rules]
    return compile_state(parse(variables), {})


def american(country: str, family: int) -> tuple[str, ...]:
    return ("198.51.100.0/24",) if (country, family) == ("us", 4) else ()


def way(now: State, to: str, **service: Any) -> str:
    (decision,) = explain(now, "alice", to, **service).decisions
    return str(decision.egress)


def text(now: State, to: str, **service: Any) -> str:
    return " ".join(explanation_text(explain(now, "alice", to, **service)).split())


def test_port_and_protocol_decide() -> None:
    here = as_of(state(*RULES), {}, MONDAY, american)
    assert way(here, GOOGLE, port=443, protocol="udp") == "block"
    assert way(here, GOOGLE, port=443) == "eu"
    assert way(here, "203.0.113.1", port=8100) == "block"
    assert way(here, "203.0.113.1", port=80) == "direct"
    assert way(here, "203.0.113.1", protocol="icmp") == "block"


def test_what_was_not_said_could_decide() -> None:
    here = as_of(state(*RULES), {}, MONDAY, american)
    assert "list google and udp port 443 → block" in text(here, GOOGLE)
    assert way(here, GOOGLE) == "eu"


def test_a_country_is_not_known_on_the_controller() -> None:
    inventory = state(*RULES)
    assert "list google and country us → eu" in text(inventory, GOOGLE, port=443)
    assert "cannot be known here" in text(inventory, GOOGLE, port=443)
    assert way(inventory, GOOGLE, port=443) == "direct"


def test_hours_that_are_others_are_told() -> None:
    inventory = state(*RULES)
    evening = dataclasses.replace(inventory, marks=at(inventory.marks, MONDAY + 8 * 3600))  # type: ignore[arg-type]
    assert way(evening, "203.0.113.1", protocol="icmp") == "direct"
    assert "mon 09:00-17:00 UTC → block: not at this hour" in text(evening, "203.0.113.1", protocol="icmp")


def test_a_lan_client_and_the_gateway_itself() -> None:
    variables = copy.deepcopy(FIELD)
    variables["splitway_host_policy"] = "family"
    office = {"name": "office", "interface": "eth1", "networks": ["192.168.50.0/24"], "default": "eu"}
    variables["splitway_lan_clients"] = [office]
    compiled = compile_state(parse(variables), {})
    assert explain(compiled, "192.168.50.7", "203.0.113.1").decisions[0].egress == "eu"
    assert explain(compiled, "192.168.51.7", "203.0.113.1").decisions[0].egress is None
    assert explain(compiled, "host", GOOGLE).decisions[0].egress == "us"


def test_what_is_refused_to_every_client() -> None:
    variables = copy.deepcopy(FIELD)
    variables["splitway_dns_guard"] = {"refuse_dot": True, "refuse_doh": True}
    variables["splitway_hardening"] = {"client_isolation": True}
    office = {"name": "office", "interface": "eth1", "networks": ["192.168.50.0/24"], "default": "eu"}
    variables["splitway_lan_clients"] = [office]
    for backend in ("ipset", "nftables"):
        guarded = compile_state(parse({**variables, "splitway_backend": backend}), {})

        def blocked(to: str, state: State = guarded, **service: Any) -> str:
            (decision,) = explain(state, "alice", to, **service).decisions
            return decision.blocked or ""

        assert "refuse_dot" in blocked("203.0.113.1", port=853)
        assert "refuse_doh" in blocked("8.8.8.8", port=443)
        assert "client_isolation" in blocked("10.8.0.3", port=443)
        assert "client_isolation" in blocked("192.168.50.7", port=443)
        assert blocked("192.168.51.7", port=443) == ""
        assert blocked("203.0.113.1", port=443) == ""
        assert "answers what is sent to port 53" in text(guarded, "9.9.9.9", port=53)
