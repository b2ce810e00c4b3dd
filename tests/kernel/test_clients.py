# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients whose time is up, and clients between two keys: real tunnels, a clock that the test sets."""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import replace

import pytest
from namespaces import NamespaceSystem, Network, run_here, wait_for, wait_for_addresses

from splitway.agent.clients import Clients
from splitway.agent.healing.generation import Generation
from splitway.applying import drift
from splitway.reconcile.flows import conntrack
from splitway.reconcile.wireguard import keypairs
from splitway.state import Device, Peer, PreviousKey
from splitway.store import Store
from splitway.transaction import bring

GATEWAY, GATEWAY6 = "10.8.0.1", "fd08::1"


def private() -> str:
    return keypairs.canonical(base64.b64encode(secrets.token_bytes(32)).decode(), "a test's key")


class World:
    """A gateway with one client, which comes with one of two keys; the agent's look is called by the test."""

    def __init__(self, system: NamespaceSystem, network: Network) -> None:
        self.system, self.store = system, Store(system)
        self.phone = network.host("phone")
        network.connect(self.phone, "uplink", ("10.90.0.1/24",), ("10.90.0.2/24",))
        self.old, self.new, own = private(), private(), private()
        self.shared = private()  # any 32 bytes
        self.gateway_key = keypairs.public_of(system, own)
        self.peer = Peer("alice", self.public(self.new), ("10.8.0.2/32", "fd08::2/128"), preshared_key=self.shared)
        self.device = Device(
            "server", "wg0", own, (f"{GATEWAY}/24", f"{GATEWAY6}/64"), (self.peer,), listen_port=51820, mtu=1420
        )
        self.at = time.time()
        system.now = lambda: self.at  # type: ignore[method-assign]
        # Flows are tracked where somebody asks for them.
        run_here("nft", "add table inet asking")
        run_here("nft", "add chain inet asking in { type filter hook input priority 0; }")
        run_here("nft", "add rule inet asking in ct state established counter")
        self.interface = f"phone{secrets.token_hex(3)}"  # wireguard-go's sockets are in one folder for all hosts
        self.phone.start("wireguard-go", "--foreground", self.interface)
        wait_for(lambda: self.phone.succeeds("wg", "show", self.interface), "the client's interface")
        self.phone.run("ip", "address", "add", "10.8.0.2/24", "dev", self.interface)
        self.phone.run("ip", "address", "add", "fd08::2/64", "dev", self.interface, "nodad")
        self.phone.run("ip", "link", "set", self.interface, "up")
        wait_for_addresses(self.phone.run, self.interface, "fd08::2")

    def public(self, key: str) -> str:
        return keypairs.public_of(self.system, key)

    def run_site(self, **changes: object) -> None:
        """Bring the server with the client like this, as a run of site.yml does."""
        peer = replace(self.peer, **changes)  # type: ignore[arg-type]
        device = replace(self.device, peers=(peer,))
        bring(self.store, "server", device, backend=None, transaction=None, purge=True)

    def agent(self) -> Clients:
        return Clients(self.store, Generation(self.store))

    def come_with(self, key: str, shared: str = "") -> None:
        """Have the client use this key from now on, as with another file."""
        lines = ["[Interface]", f"PrivateKey = {key}", "[Peer]", f"PublicKey = {self.gateway_key}"]
        lines += [f"PresharedKey = {shared}"] * bool(shared)
        lines += ["Endpoint = 10.90.0.1:51820", "AllowedIPs = 10.8.0.0/24, fd08::/64"]
        self.phone.run("wg", "setconf", self.interface, "/dev/stdin", input="\n".join(lines) + "\n")

    def reaches(self, address: str = GATEWAY, patience: int = 20) -> bool:
        """Return whether the client hears an answer: shaking hands may take more than one attempt, each 5 s."""
        return self.phone.succeeds("ping", "-c1", f"-W{patience}", address)

    def in_order(self) -> bool:
        return not any(drift(self.store, self.store.generation(), ("server",)).values())

    def keys(self) -> dict[str, str]:
        lines = run_here("wg", "show", "wg0", "allowed-ips").splitlines()
        return dict(line.split("\t") for line in lines)


@pytest.fixture
def world(system: NamespaceSystem, network: Network) -> World:
    return World(system, network)


def look(clients: Clients) -> bool:
    """Look as the agent does; return whether there was something to do."""
    if not clients.differs():
        return False
    clients.go_over()
    return True


def comes_through(world: World, clients: Clients) -> None:
    """The client's packets come through once the agent has looked: it moves the addresses once at the most."""
    moves: list[bool] = []

    def both() -> bool:
        moves.append(look(clients))
        return world.reaches(patience=1) and world.reaches(GATEWAY6, patience=1)

    wait_for(both, "the client")
    assert sum(moves) <= 1


def tracked(world: World) -> set[str]:
    return {flow.source for flow in conntrack.dump(world.system)}


def test_a_client_is_no_peer_from_its_moment_on(world: World) -> None:
    world.run_site(expires=int(world.at) + 60)
    world.come_with(world.new, world.shared)
    clients = world.agent()
    assert not look(clients)
    assert world.reaches()
    assert world.reaches(GATEWAY6)
    assert tracked(world) >= {"10.8.0.2", "fd08::2"}
    world.at += 59
    assert not look(clients)
    world.at += 1
    assert not world.in_order(), "until the agent has looked"
    assert look(clients)
    assert world.keys() == {}
    assert tracked(world).isdisjoint({"10.8.0.2", "fd08::2"})
    assert world.in_order()
    assert not look(clients)
    assert not world.reaches(patience=1)
    world.run_site(expires=int(world.at))  # a run changes nothing
    assert world.keys() == {}
    world.at -= 30  # somebody sets the clock
    assert look(clients)
    world.come_with(world.new, world.shared)  # at once, and not when it notices
    assert world.reaches(), "the client again"


def test_an_agent_that_was_away_ends_the_flows_of_who_is_over(world: World) -> None:
    world.run_site(expires=int(world.at) + 60)
    world.come_with(world.new, world.shared)
    assert world.reaches()
    world.at += 60
    world.run_site(expires=int(world.at))  # as does healing at the agent's start
    assert world.keys() == {}
    assert "10.8.0.2" in tracked(world)
    clients = world.agent()
    assert look(clients)
    assert not look(clients)
    assert "10.8.0.2" not in tracked(world)


def test_a_client_between_two_keys(world: World) -> None:
    previous = PreviousKey(world.public(world.old), int(world.at) + 3600)
    world.run_site(previous=previous)
    old, new = world.public(world.old), world.public(world.new)
    clients = world.agent()
    world.come_with(world.old)
    comes_through(world, clients)
    assert world.keys() == {old: "10.8.0.2/32 fd08::2/128", new: "(none)"}
    world.come_with(world.new, world.shared)
    comes_through(world, clients)
    assert world.keys() == {new: "10.8.0.2/32 fd08::2/128", old: "(none)"}
    assert world.in_order()
    world.run_site(previous=previous)  # a run leaves it as it is
    assert world.keys()[old] == "(none)"
    assert world.reaches()
    assert not look(world.agent()), "and so does an agent that starts"
    world.come_with(world.old)
    comes_through(world, clients)
    assert world.keys()[new] == "(none)"
    world.at += 3600
    assert look(clients)
    assert world.keys() == {new: "10.8.0.2/32 fd08::2/128"}
    assert world.in_order()
    assert not look(clients)
    assert not world.reaches(patience=1)
    world.come_with(world.new, world.shared)
    assert world.reaches(), "the new key, which is the only one"
    assert world.reaches(GATEWAY6)


def test_what_is_on_its_way_survives_the_move(world: World) -> None:
    """The session of the key that loses its addresses stays: when they come back nobody has to shake hands anew."""
    previous = PreviousKey(world.public(world.old), int(world.at) + 3600)
    world.run_site(previous=previous)
    clients = world.agent()
    world.come_with(world.old)
    comes_through(world, clients)
    before = handshakes(world)[world.public(world.old)]
    world.store.kept.holders.write({"alice": world.public(world.new)})
    world.run_site(previous=previous)
    assert not world.reaches(patience=1)
    clients = world.agent()  # which was away
    assert look(clients), "the old key is still the one that shook hands last"
    assert world.reaches()
    assert handshakes(world)[world.public(world.old)] == before


def handshakes(world: World) -> dict[str, int]:
    lines = run_here("wg", "show", "wg0", "latest-handshakes").splitlines()
    return {key: int(at) for key, at in (line.split("\t") for line in lines)}
