# SPDX-License-Identifier: GPL-3.0-or-later
"""From wg-easy's database to packets: its wg0 is adopted, then moves to us, and a client keeps the file that it has."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from adopted import TUNNELLED, Manager, World, here
from namespaces import NamespaceSystem, Network, wait_for
from test_healing import run_site

from ansible_collections.splitway.gateway.tests.unit.wg_easy.databases import client, write
from splitway.applying import drift
from splitway.store import Store
from splitway.transaction import remove_all
from splitway.wg_easy import ADOPT, MIGRATE, Assigning, read_database, snapshot, variables

SPLIT = ("us", "us", "uplink", "uplink")


@pytest.fixture
def world(network: Network) -> Iterator[World]:
    manager = Manager()
    yield World(network, manager)
    manager.close()


def topology(world: World, path: Path, mode: str) -> dict[str, Any]:
    """Return what the operator has when the inventory plugin has read a database."""
    found = variables(read_database(snapshot(path)), mode, Assigning({"films": "films"}))
    return {
        **world.variables("nftables"),
        "splitway_server": found.server,
        "splitway_clients": [entry.value for entry in found.clients],
    }


def say(path: Path, values: str) -> None:
    """Change the clients as somebody does on wg-easy's page."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE clients_table SET {values}")  # noqa: S608
        connection.commit()


def lasting(shown: str) -> str:
    """Return what is said of wg0 without its number and link-local address, which are new ones when it is made anew."""
    return re.sub(r"\b\d+: (?=wg0)|\bfe80:[0-9a-f:]+", "", shown)


def test_clients_keep_their_files_from_wg_easy_to_us_and_back(
    system: NamespaceSystem, world: World, tmp_path: Path
) -> None:
    store, manager, alice = Store(system), world.manager, world.alice
    keys = {"private_key": alice.key.private, "public_key": alice.key.public, "pre_shared_key": ""}
    path = write(tmp_path / "wg-easy.db", client(1, "alice #films", **keys), private_key=manager.key.private)
    for parameter in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        system.set_sysctl(parameter, "1")  # as Docker does
    before = manager.shown()
    run_site(store, topology(world, path, ADOPT))
    wait_for(lambda: alice.way(TUNNELLED[0]) == "us", "the tunnels' handshakes", 60)
    assert world.ways(alice) == SPLIT
    say(path, "enabled = 0")
    run_site(store, topology(world, path, ADOPT))
    assert world.ways(alice) == ("refused",) * 4
    assert manager.shown() == before

    say(path, "enabled = 1")
    manager.down()
    run_site(store, topology(world, path, MIGRATE))
    alice.greet()
    wait_for(lambda: alice.way(TUNNELLED[0]) == "us", "a handshake with our own wg0", 60)
    assert world.ways(alice) == SPLIT
    assert here("wg", "show", "wg0", "public-key").strip() == manager.key.public
    assert not any(drift(store, store.generation()).values())

    remove_all(store)
    manager.up()
    alice.greet()
    wait_for(lambda: alice.way(TUNNELLED[0]) == "uplink", "wg-easy as it was", 60)
    assert lasting(manager.shown()) == lasting(before)
