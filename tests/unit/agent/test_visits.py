# SPDX-License-Identifier: GPL-3.0-or-later
"""The access log's ways: what an answered name means for the client that asked."""

from __future__ import annotations

from typing import Any

from splitway.agent.figures.visits import Ways
from splitway.agent.names.answers import Answer
from splitway.agent.names.learned import Names
from splitway.compiler import compile_state
from splitway.topology import parse

KEY = "3CWDiHvYvXBr6AdVvELbKUdYUNeWBM3sXrvhiY1zDAk="


def ways(backend: str = "ipset") -> Ways:
    variables: dict[str, Any] = {
        "splitway_backend": backend,
        "splitway_server": {"addresses": ["10.8.0.1/24", "fdcc::1/64"]},
        "splitway_upstreams": [{"name": "us", "endpoint": "192.0.2.9:51820", "public_key": KEY}],
        "splitway_policies": {
            "family": {
                "rules": [
                    {"domain": "ads.example", "egress": "block"},
                    {"domain": "films.example", "egress": "us"},
                    {"network": "198.51.100.0/24", "egress": "us"},
                ]
            },
            "plain": {},
        },
        "splitway_clients": [
            {"name": "alice", "addresses": ["10.8.0.2", "fdcc::2"], "policy": "family"},
            {"name": "bob", "addresses": ["10.8.0.3"], "policy": "plain"},
        ],
    }
    state = compile_state(parse(variables), {})
    assert state.marks
    assert state.dns
    return Ways(state, state.marks, Names(state.dns.lines))


def test_each_answer_has_its_clients_way() -> None:
    for backend in ("ipset", "nftables"):
        rules = ways(backend)
        answers = {
            ("10.8.0.2", "www.films.example", "203.0.113.5"): ("alice", "us"),
            ("fdcc::2", "films.example", "2001:db8::5"): ("alice", "us"),
            ("10.8.0.2", "films.example", "2001:db8::5"): ("alice", "us"),  # asked by IPv4, goes by IPv6
            ("10.8.0.2", "ads.example", "203.0.113.5"): ("alice", "block"),
            ("10.8.0.2", "else.example", "203.0.113.5"): ("alice", "direct"),
            ("10.8.0.2", "else.example", "198.51.100.7"): ("alice", "us"),  # by its address
            ("10.8.0.3", "films.example", "203.0.113.5"): ("bob", "direct"),
            ("10.8.0.9", "films.example", "203.0.113.5"): None,
        }
        assert {key: rules.of(Answer(key[0], key[1], (key[2],))) for key in answers} == answers
