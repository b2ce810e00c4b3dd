# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every name and address takes its way, for both clients and both families."""

from __future__ import annotations

import pytest
from labkit.clients import CLIENTS
from labkit.ways import BLOCKED, Wish, expectations, settled_ways, ways

ROWS = [(client, wish) for client in CLIENTS for wish in expectations()[client]]


@pytest.fixture(scope="module")
def taken(clients: None) -> dict[str, dict[Wish, str]]:
    """The way of each row, asked once for each client."""
    return {client: settled_ways(client, expectations()[client]) for client in CLIENTS}


@pytest.mark.parametrize(
    ("client", "wish"), ROWS, ids=[f"{client}-{name}-IPv{family}" for client, (name, family) in ROWS]
)
def test_way(client: str, wish: Wish, taken: dict[str, dict[Wish, str]]) -> None:
    assert taken[client][wish] == expectations()[client][wish]


def test_a_group_that_spreads_uses_all_its_members(taken: dict[str, dict[Wish, str]]) -> None:
    """That twenty flows to each of two addresses all go one way happens once in 10^12 runs.

    One that nobody answered in time took no way.
    """
    used = frozenset[str]().union(*(ways("alice", [("spread.example", 4)])["spread.example", 4] for _ in range(20)))
    assert used - {BLOCKED} == {"us", "eu"}
