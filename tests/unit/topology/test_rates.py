# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates of clients and policies: what operators write, and the mistakes that they make in it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import changed
from splitway.topology import TopologyError, parse
from splitway.topology.model import Rate

ALICE, BOB, FAMILY = "splitway_clients[0].rate", "splitway_clients[1].rate", "splitway_policies.family.rate"
HELP = "is not a rate (like 20mbit; kbit, mbit or gbit)"


def test_rates_of_policies_and_clients() -> None:
    topology = parse(
        changed((FAMILY, {"down": "20mbit", "up": "1.5Mbit"}), (ALICE, {"down": "2gbit"}), (BOB, {"up": "64kbit"}))
    )
    assert topology.policies[0][1].rate == Rate(20_000_000, 1_500_000)
    assert [client.rate for client in topology.clients] == [Rate(down=2_000_000_000), Rate(up=64_000)]
    assert [client.rate for client in parse(changed()).clients] == [None, None]
    assert parse(changed((ALICE, None))).clients[0].rate is None


@pytest.mark.parametrize("path", [ALICE, BOB, FAMILY])
@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ({}, ": has neither down nor up"),
        ({"down": None}, ": has neither down nor up"),
        ("20mbit", ': "20mbit" is not a mapping'),
        ({"down": 20}, f".down: 20 {HELP}: YAML reads it as a number, put it in quotes"),
        ({"down": "20"}, f'.down: "20" {HELP}'),
        ({"up": "20 mbit"}, f'.up: "20 mbit" {HELP}'),
        ({"up": "20mbps"}, f'.up: "20mbps" {HELP}'),
        ({"up": "-5mbit"}, f'.up: "-5mbit" {HELP}'),
        ({"up": "٥mbit"}, f'.up: "٥mbit" {HELP}'),
        ({"up": "1e3kbit"}, f'.up: "1e3kbit" {HELP}'),
        ({"up": "0mbit"}, '.up: "0mbit" is out of range (8kbit-10gbit)'),
        ({"up": "7.999kbit"}, '.up: "7.999kbit" is out of range (8kbit-10gbit)'),
        ({"up": "10.1gbit"}, '.up: "10.1gbit" is out of range (8kbit-10gbit)'),
        ({"donw": "1mbit", "up": "1mbit"}, '.donw: unknown key; did you mean "down"?'),
    ],
)
def test_wrong_rates_are_named(path: str, rate: Any, message: str) -> None:
    with pytest.raises(TopologyError) as raised:
        parse(changed((path, rate)))
    assert raised.value.errors == (f"{path}{message}",)


@pytest.mark.parametrize("rate", ["8kbit", "10gbit", "0.000008gbit"])
def test_the_ends_of_the_range_are_rates(rate: str) -> None:
    found = parse(changed((ALICE, {"up": rate}))).clients[0].rate
    assert found is not None
    assert found.up in (8_000, 10_000_000_000)
