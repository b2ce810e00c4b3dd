# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hostile or broken network: a box that looks into TLS is refused, a server that restarts is found again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from autovpnkit import gateway, uplink
from labkit.hosts import host, wait_until
from labkit.ways import BLOCKED, UNRESOLVED, settled_ways

US, EU = {("google.com", 4): "us"}, {("youtube.com", 4): "eu"}
# Its names are asked in the tunnel: who has not asked before has no answer either.
NOWHERE = {("google.com", 4): f"{BLOCKED} or {UNRESOLVED}"}


@pytest.fixture
def middlebox() -> Iterator[None]:
    """A box before us that ends TLS; connections that stood are gone, as when a laptop changes its network."""
    uplink.insert_middlebox()
    restart_server("us")
    yield
    uplink.remove_middlebox()


def restart_server(name: str) -> None:
    """Restarts all that an exit's WebSocket server is made of."""
    host(name).check_output("systemctl restart 'splitway-transport*'")


def test_a_middlebox_is_refused(middlebox: None) -> None:
    """It would work for those who do not look: what it passes on is answered."""
    curl = (
        "curl --silent --insecure --max-time 5 --resolve us.autovpn.example:443:10.90.0.21 https://us.autovpn.example/"
    )
    wait_until(lambda: host("tap").run(curl).rc == 0, "an answer through the middlebox")
    wait_until(lambda: gateway.upstream("us")["state"] == "down", "us to be down")
    assert settled_ways("alice", NOWHERE | EU) == NOWHERE | EU
    wait_until(lambda: "its certificate is refused" in gateway.websocket("us")["why"], "the reason, in words")


def test_it_is_back_when_the_middlebox_is_gone() -> None:
    wait_until(lambda: gateway.upstream("us")["state"] == "up", "us to be up", 120)
    assert settled_ways("alice", US) == US
    wait_until(lambda: not gateway.websocket("us")["why"], "nothing to be wrong any more")


@pytest.mark.parametrize("exit_", ["us", "eu"])
def test_a_server_that_restarts_is_found_again(exit_: str) -> None:
    restart_server(exit_)
    wanted = {"us": US, "eu": EU}[exit_]
    assert settled_ways("alice", wanted) == wanted
    wait_until(lambda: gateway.upstream(exit_)["state"] == "up", f"{exit_} to be up", 120)
