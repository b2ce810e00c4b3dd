# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate of a rollout looks at a real gateway, with an agent, a tunnel and a client."""

from __future__ import annotations

from namespaces import wait_for
from test_daemon import agent
from test_mtu import World, world

from splitway.rollout.gate import Look, Tunnel, missing
from splitway.rollout.look import connected, look
from splitway.rollout.settings import Gate

__all__ = ["world"]
USUAL = Gate()


def left(world: World, before: Look, wishes: Gate = USUAL) -> tuple[str, ...]:
    """Return what is missing now, at a gateway whose clients were not heard since."""
    return missing(before, before, look(world.store), wishes)


def test_what_the_gate_sees(world: World) -> None:
    assert not look(world.store).agent
    world.run_site("nftables", 4, health={"probes": [{"icmp": "10.64.0.1"}], "interval": 1, "down": 8})
    with agent(world.system):
        world.client.run("ping", "-c", "1", "-W", "20", "10.8.0.1")
        wait_for(lambda: look(world.store).upstreams["us"] == Tunnel("up", True), "the upstream to be up", 60)
        before = connected(look(world.store))
        assert before.agent
        assert before.current
        assert list(before.clients) == ["alice"]
        wait_for(lambda: left(world, before) == (), "nothing to be missing")

        # At once, when the agent has not noticed yet.
        world.exit.run("ip", "link", "set", "wg-exit", "down")
        assert left(world, before) == ("upstream us: nobody answers through it",)
        assert left(world, before, Gate(ignore_upstreams=("us",))) == ()
        wait_for(lambda: left(world, before)[0].startswith("upstream us is down"), "the agent to see it", 60)

        # A client whose peer is made anew has to shake hands first; this one cannot.
        world.client.run("ip", "link", "set", "wan", "down")
        key = world.public("client")
        world.system.run("wg", "set", "wg0", "peer", key, "remove")
        wait_for(lambda: any("have lost their tunnel: alice" in line for line in left(world, before)), "the loss", 60)
