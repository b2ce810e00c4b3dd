# SPDX-License-Identifier: GPL-3.0-or-later
"""Tunnels over a path that is narrow in its middle and does not say so: large transfers of a real client, both ways.

client ── gateway ── near ── far ── exit: between `near` and `far` packets have less room than their ends know of. The
exit has all addresses of the Internet.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Optional

import pytest
from namespaces import Namespace, NamespaceSystem, Network, run_here, wait_for, wait_for_addresses
from test_daemon import agent
from test_healing import run_site

from splitway.agent import control
from splitway.applying import drift
from splitway.reconcile import wireguard
from splitway.reconcile.wireguard import SERVER, keypairs
from splitway.state import Device, Peer
from splitway.store import Store

WEB = {4: "198.51.100.1", 6: "2001:db8:99::1"}
EXIT = {4: "10.92.0.2", 6: "2001:db8:92::2"}
CLIENT = {4: "10.8.0.2", 6: "fdcc::2"}
LARGE = 5_000_000  # bytes
# By the path's MTU and IP version: less 60 or 80, then what an exit with 1420 does not pad to more than fits.
WIDEST = {(1400, 4): 1328, (1400, 6): 1312, (1492, 4): 1432, (1492, 6): 1408}
EVERYTHING = ("0.0.0.0/0", "::/0")
GET, PUT = b"g", b"p"
TIMES = {"upstreams.fitting.SOON": 1.0}
"""Shorter than the agent's own, so that no test waits as long as a gateway does."""


class World:
    """A gateway with one upstream, and who is around it."""

    def __init__(self, system: NamespaceSystem, network: Network) -> None:
        self.system, self.store = system, Store(system)
        self.client, self.near, self.far, self.exit = map(network.host, ("client", "near", "far", "exit"))
        network.connect(self.client, "wan", ("10.94.0.1/24",), ("10.94.0.2/24",))
        network.connect(
            self.near, "uplink", ("10.90.0.1/24", "2001:db8:90::1/64"), ("10.90.0.2/24", "2001:db8:90::2/64")
        )
        wire(self.near, self.far, "middle", 91)
        wire(self.far, self.exit, "last", 92)
        for family, prefix in (("-4", "10.{}.0.{}"), ("-6", "2001:db8:{}::{}")):
            run_here("ip", family, "route", "add", "default", "via", prefix.format(90, 2))
            self.near.run("ip", family, "route", "replace", "default", "via", prefix.format(91, 2))
            self.far.run("ip", family, "route", "replace", "default", "via", prefix.format(91, 1))
            self.exit.run("ip", family, "route", "replace", "default", "via", prefix.format(92, 1))
        for host in (self.near, self.far):
            host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self._keys = {name: private(system) for name in ("client", "exit", "gateway", "wg0")}

    def private_keys(self) -> tuple[str, ...]:
        return tuple(self._keys.values())

    def public(self, name: str) -> str:
        return keypairs.public_of(self.system, self._keys[name])

    def narrow(self, mtu: int, silent: bool = True) -> None:
        """Give the path's middle less room; `silent`: nobody hears of it."""
        for host in (self.near, self.far):
            host.run("ip", "link", "set", "middle", "mtu", str(mtu))
            if silent:
                host.run(
                    "nft", "add table inet silent; add chain inet silent out { type filter hook output priority 0; }"
                )
                host.run("nft", "add rule inet silent out icmp type destination-unreachable drop")
                host.run("nft", "add rule inet silent out icmpv6 type packet-too-big drop")

    def run_site(self, backend: str, family: int, more: Optional[dict[str, Any]] = None, **upstream: Any) -> None:
        """Set the gateway up, its upstream's exit reached by a family, and the two ends of its tunnels."""
        run_site(self.store, {**self.variables(backend, family, upstream), **(more or {})})
        at = self.system.configuration.parent
        tunnels = (
            (self.exit, "exit", "wg-exit", ("10.64.0.1/24", "fd64::1/64"), self.public("gateway"), None),
            (self.client, "client", "wg-client", ("10.8.0.2/32", "fdcc::2/128"), self.public("wg0"), "10.94.0.1:51999"),
        )
        for host, name, interface, addresses, peer, endpoint in tunnels:
            with host.entered():
                other = NamespaceSystem(at / name)
                peers = (Peer("gateway", peer, EVERYTHING, None, endpoint, 25 if endpoint else 0),)
                device = Device(name, interface, self._keys[name], addresses, peers, 51820, 1420)
                wireguard.apply(other, wireguard.plan((device,), wireguard.read(other, (device,), SERVER)))
        for version in ("-4", "-6"):
            self.client.run("ip", version, "route", "replace", "default", "dev", "wg-client")
            self.exit.run("ip", version, "route", "flush", "default")
            self.exit.run("ip", version, "route", "add", "local", "default", "dev", "lo", "table", "main")
        self.exit.run("ip", "-4", "route", "add", "10.90.0.0/24", "via", "10.92.0.1")
        self.exit.run("ip", "-6", "route", "add", "2001:db8:90::/64", "via", "2001:db8:92::1")
        serve(self.exit)

    def variables(self, backend: str, family: int, upstream: dict[str, Any]) -> dict[str, Any]:
        """Return a topology whose exit is reached by a family."""
        at = EXIT[family]
        return {
            "splitway_backend": backend,
            "splitway_dns": {"servers": ["10.92.0.2"]},
            "splitway_server": {
                "addresses": ["10.8.0.1/24", "fdcc::1/64"],
                "listen_port": 51999,
                "private_key": self._keys["wg0"],
                "mtu": 1420,
            },
            "splitway_upstreams": [
                {
                    "name": "us",
                    "endpoint": f"{at}:51820" if family == 4 else f"[{at}]:51820",
                    "public_key": self.public("exit"),
                    "private_key": self._keys["gateway"],
                    "addresses": ["10.64.0.2/24", "fd64::2/64"],
                    "health": {"probes": [{"icmp": "10.64.0.1"}], "interval": 1},
                    **upstream,
                }
            ],
            "splitway_clients": [
                {"name": "alice", "addresses": [*CLIENT.values()], "public_key": self.public("client"), "default": "us"}
            ],
        }

    def mtu(self) -> int:
        """Return the tunnel's MTU, as the kernel has it."""
        words = run_here("ip", "-o", "link", "show", "wg-up-1").split()
        return int(words[words.index("mtu") + 1])

    def upstream(self) -> dict[str, Any]:
        """Return what the agent says of the upstream."""
        found: dict[str, Any] = control.ask(self.system, "status")["upstreams"][0]
        return found

    def moves(self, family: int, what: bytes, timeout: float = 30.0) -> bool:
        """Return whether a large transfer of the client's gets through: GET comes to it, PUT goes from it."""
        with self.client.entered():
            connection = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
        with connection, contextlib.suppress(OSError):
            connection.settimeout(timeout)
            connection.connect((WEB[family], 80))
            connection.sendall(what)
            count = 0
            if what == PUT:
                connection.sendall(bytes(LARGE))
                connection.shutdown(socket.SHUT_WR)
                return connection.recv(100) == str(LARGE).encode()
            while data := connection.recv(1 << 16):
                count += len(data)
            return count == LARGE
        return False

    def learns(self, family: int) -> int:
        """Return the MTU that the client learns when it sends a datagram that fits its own tunnel only."""
        discover, mtu = ((0, 10), (0, 14)) if family == 4 else ((41, 23), (41, 24))  # linux/in.h, linux/in6.h
        with self.client.entered():
            connection = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        with connection:
            connection.setsockopt(*discover, 2)  # never fragment
            connection.connect((WEB[family], 9))
            connection.send(bytes(1360))
            wait_for(lambda: connection.getsockopt(*mtu) < 1420, "an ICMP message")
            return connection.getsockopt(*mtu)


def private(system: NamespaceSystem) -> str:
    return system.read("wg", "genkey").strip()


def wire(one: Namespace, other: Namespace, interface: str, number: int) -> None:
    """Connect two hosts."""
    one.run("ip", "link", "add", interface, "type", "veth", "peer", "name", interface, "netns", other.path)
    for place, host in enumerate((one, other), start=1):
        host.run("sysctl", "-q", "-w", f"net.ipv6.conf.{interface}.accept_dad=0")
        host.run("ip", "address", "add", f"10.{number}.0.{place}/24", "dev", interface)
        host.run("ip", "address", "add", f"2001:db8:{number}::{place}/64", "dev", interface, "nodad")
        host.run("ip", "link", "set", interface, "up")
    for place, host in enumerate((one, other), start=1):
        wait_for_addresses(host.run, interface, f"2001:db8:{number}::{place}")


def serve(host: Namespace) -> None:
    with host.entered():
        listener = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            if connection.recv(1) == GET:
                connection.sendall(bytes(LARGE))
                return
            count = 0
            while data := connection.recv(1 << 16):
                count += len(data)
            connection.sendall(str(count).encode())

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


@pytest.fixture
def world(system: NamespaceSystem, network: Network) -> Iterator[World]:
    found = World(system, network)
    yield found
    for name in ("exit", "client"):
        NamespaceSystem(system.configuration.parent / name).plain_units.close()


@pytest.mark.parametrize(("backend", "outer"), [("ipset", 4), ("nftables", 6)])
def test_a_narrow_path_that_does_not_say_so(world: World, backend: str, outer: int) -> None:
    world.narrow(1400)
    world.run_site(backend, outer)
    assert world.mtu() == 1420
    assert not world.moves(4, PUT, timeout=2), "else the rest would prove nothing"
    with agent(world.system, TIMES):
        wait_for(lambda: world.mtu() < 1420 and world.upstream()["full_size"], "the path to be found", 60)
        assert world.mtu() == WIDEST[1400, outer]
        assert [world.moves(family, what) for family in (4, 6) for what in (GET, PUT)] == [True] * 4
        assert [world.learns(family) for family in (4, 6)] == [world.mtu()] * 2
        assert not any(drift(world.store, world.store.generation()).values()), "a run of site.yml leaves it alone"


@pytest.mark.parametrize(
    ("outer", "more"),
    [(4, {}), (6, {"splitway_policies": {"all": {"default": "us"}}, "splitway_host_policy": "all"})],
)
def test_a_path_that_says_so(world: World, outer: int, more: dict[str, Any]) -> None:
    """With a policy of the gateway's own, too: what looks at the path does not go into the tunnel."""
    world.narrow(1400, silent=False)
    world.run_site("nftables", outer, more)
    with agent(world.system, TIMES):
        wait_for(lambda: world.mtu() == WIDEST[1400, outer], "what the router said", 60)


@pytest.mark.parametrize("outer", [4, 6])
def test_an_uplink_by_pppoe(world: World, outer: int) -> None:
    run_here("ip", "link", "set", "uplink", "mtu", "1492")
    world.run_site("ipset", outer)
    with agent(world.system, TIMES):
        wait_for(lambda: world.upstream()["full_size"], "the path to be found", 60)
        assert world.mtu() == WIDEST[1492, outer]


def test_a_path_that_becomes_narrow_and_an_exit_that_ends(world: World) -> None:
    world.run_site("nftables", 4)
    with agent(world.system, TIMES):
        wait_for(lambda: world.upstream()["full_size"], "the path to be found", 60)
        assert world.mtu() == 1440
    world.narrow(1350)
    with agent(world.system, TIMES):
        wait_for(lambda: world.mtu() == 1280, "the narrow path to be found", 60)
        told = "mtu of us: of 1440 bytes nothing comes back"
        wait_for(lambda: told in (world.system.log / "audit.jsonl").read_text(), "a record of it")
    world.narrow(1500)
    world.system.data.joinpath("mtus.json").unlink()
    NamespaceSystem(world.system.configuration.parent / "exit").plain_units.close()
    with agent(world.system, TIMES):
        wait_for(lambda: world.upstream()["state"] == "down", "the exit's end to be noticed", 60)
        assert world.mtu() == 1440, "a tunnel that is down is not narrow"
        assert world.upstream()["full_size"] is None


def test_what_the_operator_wrote_is_kept_and_judged(world: World) -> None:
    world.narrow(1400)
    world.run_site("ipset", 4, mtu=1420)
    with agent(world.system, TIMES):
        wait_for(lambda: world.upstream()["full_size"] is False, "a word on it", 60)
        assert world.mtu() == 1420


def test_a_path_that_loses_packets_is_not_narrow(world: World) -> None:
    world.near.run("nft", "add table inet lossy; add chain inet lossy forward { type filter hook forward priority 0; }")
    world.near.run("nft", "add rule inet lossy forward udp dport 51820 numgen random mod 5 == 0 drop")
    world.run_site("nftables", 4)
    with agent(world.system, TIMES):
        wait_for(lambda: world.upstream()["full_size"], "a full-size packet", 60)
        assert world.mtu() == 1440


def test_an_address_that_answers_small_requests_only_says_nothing(world: World) -> None:
    world.run_site("nftables", 4)
    world.exit.run("nft", "add table inet fussy; add chain inet fussy in { type filter hook input priority 0; }")
    world.exit.run("nft", "add rule inet fussy in icmp type echo-request meta length > 200 drop")
    with agent(world.system, TIMES):
        wait_for(lambda: world.mtu() == 1440 and world.upstream()["state"] == "up", "the path", 60)
        time.sleep(4)  # longer than all sizes take
        assert (world.mtu(), world.upstream()["full_size"]) == (1440, None)
