# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that lets no UDP through: clients have all their ways, over TCP port 443."""

from __future__ import annotations

import pytest
from autovpnkit import gateway, uplink
from autovpnkit.browsing import browse
from labkit.clients import CLIENTS
from labkit.hosts import host, wait_until
from labkit.ways import Wish, settled_ways

WAYS: dict[Wish, str] = {
    ("google.com", 4): "us",
    ("google.com", 6): "us",
    ("youtube.com", 4): "eu",
    ("youtube.com", 6): "eu",
    ("maps.google.com", 4): "direct",
    ("example.org", 6): "direct",
    ("ads.example", 4): "blocked",
    ("198.51.100.129", 4): "us",
    ("2001:db8:ff:a0::1", 6): "eu",
}


@pytest.mark.parametrize("client", CLIENTS)
def test_every_way_is_there(client: str) -> None:
    assert settled_ways(client, WAYS) == WAYS


def test_udp_was_tried_and_got_nowhere() -> None:
    assert uplink.dropped("us") > 0


@pytest.mark.parametrize("exit_", ["us", "eu"])
def test_the_tunnel_comes_out_of_the_websocket(exit_: str) -> None:
    wait_until(lambda: gateway.from_loopback(exit_), f"the tunnel to {exit_} over its WebSocket")


@pytest.mark.parametrize("name", ["google.com", "youtube.com"])
def test_large_answers_come_whole(name: str) -> None:
    """Full-size packets fit: the tunnel's MTU leaves room for what the WebSocket adds."""
    assert len(browse("alice", f"http://{name}/5000000").text) == 5_000_000


def test_no_key_is_in_a_command_line() -> None:
    """Of websocat's the WebSocket's path is (docs/websockets.md)."""
    shown = host("gw").check_output("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
    assert "websocat" in shown
    assert [secret for secret in gateway.private_keys() if secret in shown] == []


def test_a_run_changes_nothing_while_a_websocket_carries_us() -> None:
    assert gateway.site().changed() == 0
