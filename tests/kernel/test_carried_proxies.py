# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway that has proxies and no tunnels: its WebSockets are looked after, too."""

from __future__ import annotations

import pytest
from namespaces import wait_for
from test_carried import PORTS, TIMES, Carried, carried, greet
from test_daemon import agent
from test_mtu import world
from transported import PROGRAMS

from splitway.applying import drift

__all__ = ["carried", "world"]


@pytest.mark.parametrize("program", PROGRAMS[:1])
def test_the_next_server_is_used_where_there_are_proxies_only(carried: Carried) -> None:
    world = carried.world
    carried.serve(*PORTS)
    greet(carried)
    proxies = [{"name": "out", "socks5": {"listen": ["127.0.0.1"], "port": 1085}, "upstream": "us"}]
    carried.run_site("nftables", carried.program, {"splitway_mode": "proxy", "splitway_proxies": proxies})
    with agent(world.system, TIMES):
        wait_for(lambda: carried.transport()["state"] == "up", "the WebSocket", 60)
        carried.serve(PORTS[1])
        wait_for(lambda: carried.transport()["backup"], "the next server", 60)
        wait_for(lambda: carried.transport()["state"] == "up", "the WebSocket by the next server", 60)
        assert not any(drift(world.store, world.store.generation()).values()), "a run of site.yml leaves it alone"
