# SPDX-License-Identifier: GPL-3.0-or-later
"""A wg0 that is somebody else's: we split what comes in by it, and nothing of it is ever ours to change."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from adopted import STRANGER, TUNNELLED, UPLINK, Client, Manager, Pair, World, here
from namespaces import NamespaceSystem, Network, run_here, wait_for
from test_healing import Running, run_site
from traffic import PATIENCE, captured

from splitway.agent.healing import loop
from splitway.applying import drift
from splitway.reconcile import wireguard
from splitway.store import Store
from splitway.transaction import remove_all

SPLIT = ("us", "us", "uplink", "uplink")
REFUSED = ("refused",) * 4
ELSEWHERE = (("198.51.100.6", "2001:db8:1::6"), ("198.51.100.201", "2001:db8:2::6"))
"""Where nobody else goes: what is seen of them is the stranger's, whatever its address is by then."""


@pytest.fixture
def manager() -> Iterator[Manager]:
    found = Manager()
    yield found
    found.close()


@pytest.fixture
def world(network: Network, manager: Manager) -> World:
    return World(network, manager)


@pytest.mark.parametrize("backend", ["ipset", "nftables"])
def test_a_wg0_of_wg_easys_is_split_and_stays_as_it_was(system: NamespaceSystem, world: World, backend: str) -> None:
    for key in ("all", "wg0"):  # as strict as hosts are
        system.set_sysctl(f"net/ipv4/conf/{key}/rp_filter", "1")
    before, queue = world.manager.shown(), world.manager.queue()
    store, variables = Store(system), world.variables(backend)
    run_site(store, variables)
    wait_for(lambda: world.alice.way(TUNNELLED[0]) == "us", "the tunnels' handshakes")
    assert world.ways(world.alice) == SPLIT
    with captured(world.internet.host, UPLINK) as packets:
        asked = [world.stranger.way(destination, PATIENCE) for pair in ELSEWHERE for destination in pair]
    assert asked == [*REFUSED], "who is in no list is refused, and told so"
    assert not [packet for packet in packets for pair in ELSEWHERE if _about(packet, pair)]
    assert not any(drift(store, store.generation()).values())
    run_site(store, variables)
    assert world.manager.shown() == before
    said = _remarks(system, store)
    assert len(said) == 1
    assert STRANGER[0] in said[0]

    run_site(store, world.variables(backend, unknown_clients="films"))
    assert world.ways(world.stranger) == SPLIT, "a client that the page made a minute ago"
    run_site(store, world.variables(backend, unknown_clients="direct"))
    assert world.ways(world.stranger) == ("uplink",) * 4
    assert world.ways(world.alice) == SPLIT
    assert [*_private(world.stranger), *_private(world.alice)] == [True] * 4
    disabled = world.variables(backend, unknown_clients="direct")
    disabled["splitway_clients"][0]["enabled"] = False
    run_site(store, disabled)
    assert world.ways(world.alice) == REFUSED, "a disabled client is no unknown one, though it is a peer still"
    assert _private(world.alice) == (False, False), "neither the gateway's LAN nor its resolver"
    run_site(store, world.variables(backend) | {"splitway_hardening": {"gateway_ports": "all"}})
    assert [_private(world.alice)[1], _private(world.stranger)[1]] == [True, False], "all ports are open to clients"

    remove_all(store)
    assert (world.manager.shown(), world.manager.queue()) == (before, queue)
    assert "splitway" not in run_here("ip", "link") + run_here("nft", "list", "tables")
    assert "SPLITWAY" not in run_here("iptables-save") + run_here("ip6tables-save")


def _private(client: Client) -> tuple[bool, bool]:
    """Return whether a host of the gateway's uplink, a private network, answers, and whether its resolver does."""
    return client.way("10.90.0.2") == "uplink", client.hears("10.8.0.1")


def _remarks(system: NamespaceSystem, store: Store) -> tuple[str, ...]:
    server = store.generation().server
    assert server is not None
    current = wireguard.read(system, (server,), wireguard.SERVER)
    return wireguard.remarks(server, current, unknown_are_refused=True)


@pytest.mark.parametrize("backend", ["ipset", "nftables"])
def test_wg0_goes_and_comes_as_its_manager_likes(
    system: NamespaceSystem, world: World, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOOK", 0.5)
    store, manager, alice = Store(system), world.manager, world.alice
    manager.down()
    run_site(store, world.variables(backend))
    assert "wg0 is not there" in _remarks(system, store)[0]
    with Running(store) as agent, captured(world.internet.host, UPLINK) as packets:
        manager.up()
        alice.greet()
        wait_for(lambda: alice.way(TUNNELLED[0]) == "us", "the tunnels' handshakes")
        took = []
        for _ in range(3):
            manager.down()
            manager.up()
            began = time.monotonic()
            alice.greet()
            wait_for(lambda: alice.way(TUNNELLED[0]) == "us", "the same way again")
            wait_for(lambda: alice.hears("10.8.0.1"), "an answer to a question for a name")
            wait_for(lambda: not any(drift(store, store.generation()).values()), "the rates on the new wg0")
            took.append(time.monotonic() - began)
        assert min(took) < 5, "a busy machine may keep it from that now and then"
        # Peers come and go: none is brought back, none is given the endpoint that it had.
        key, newcomer = alice.key.public, Pair.make().public
        allowed = tuple(manager.peers[key].split(","))
        alice.host.run("ip", "link", "set", "home1", "down")
        manager.take(key)
        manager.give(newcomer, ("10.8.0.77/32",))
        manager.give(key, allowed)
        time.sleep(2)  # four looks of the agent: nothing is to happen, which cannot be waited for
        assert manager.peers.keys() == set(here("wg", "show", "wg0", "peers").split())
        assert f"{key}\t(none)" in here("wg", "show", "wg0", "endpoints")
        assert not agent.healer.failures
    assert not [packet for packet in packets if _about(packet, TUNNELLED)], "what is to be tunnelled left directly"


def _about(packet: bytes, addresses: tuple[str, str]) -> bool:
    families = (socket.AF_INET, socket.AF_INET6)
    return any(socket.inet_pton(family, address) in packet[:40] for family, address in zip(families, addresses))
