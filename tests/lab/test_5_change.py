# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed topology: what is removed from it is removed from the host, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from labkit.clients import wait_for_names
from labkit.groups import wait_for_best_ways
from labkit.hosts import CLIENT_FILES, INVENTORY, host
from labkit.playbooks import playbook_succeeds
from labkit.traffic import watched_traffic
from labkit.ways import expectations, settled_ways

TOPOLOGY: dict[str, Any] = yaml.safe_load(
    (INVENTORY / "group_vars" / "splitway_gateways.yml").read_text(encoding="utf-8")
)


@pytest.fixture
def converged(clients: None) -> Iterator[None]:
    """The inventory's topology again, after a test that ran another one."""
    yield
    playbook_succeeds("site.yml")


def without(section: str, name: str) -> dict[str, Any]:
    """Returns a section of the topology without one entry."""
    return {section: [entry for entry in TOPOLOGY[section] if entry["name"] != name]}


def with_option(section: str, name: str, **options: object) -> dict[str, Any]:
    """Returns a section of the topology with one entry's options changed."""
    return {section: [entry | options if entry["name"] == name else entry for entry in TOPOLOGY[section]]}


def test_a_removed_client_is_gone_and_the_other_stays(converged: None) -> None:
    with watched_traffic():
        playbook_succeeds("site.yml", variables=without("splitway_clients", "bob"))
    assert len(host("gw").check_output("wg show wg0 peers").splitlines()) == 1
    assert not list((CLIENT_FILES).glob("bob.*"))
    wait_for_best_ways()
    assert settled_ways("alice", expectations()["alice"]) == expectations()["alice"]
    assert host("bob").run("curl --silent --max-time 3 http://198.51.100.200/").rc != 0


def test_an_upstream_switched_off_blocks_what_it_carried(converged: None) -> None:
    wait_for_names("bob")
    with watched_traffic():
        playbook_succeeds("site.yml", variables=with_option("splitway_upstreams", "eu", enabled=False))
        expected = {
            ("youtube.com", 4): "blocked",
            ("youtube.com", 6): "blocked",
            ("gstatic.com", 4): "us",
            ("example.org", 4): "direct",
        }
        assert settled_ways("alice", expected) == expected


def test_a_client_gets_another_policy(converged: None) -> None:
    """From a split tunnel to a full one with an exception."""
    playbook_succeeds("site.yml", variables=with_option("splitway_clients", "alice", policy="abroad"))
    expected = {
        ("google.com", 4): "eu",
        ("example.org", 6): "eu",
        ("198.51.100.200", 4): "eu",
        ("baidu.com", 4): "direct",
        ("baidu.com", 6): "direct",
    }
    assert settled_ways("alice", expected) == expected


def test_the_topology_is_back(clients: None) -> None:
    wait_for_best_ways()
    for client in ("alice", "bob"):
        wait_for_names(client)
        assert settled_ways(client, expectations()[client]) == expectations()[client]
