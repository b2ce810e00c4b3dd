# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's bundle, used as its page says, in a network that drops UDP: the tunnel comes up by the WebSocket, carries
everything, and never itself."""

from __future__ import annotations

import base64
import contextlib
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import Namespace, NamespaceSystem, Network, run_here, wait_for
from relays import NAME, Authority
from transported import PROGRAMS, binary, bring, own_copy

from splitway.client_bundle import contents
from splitway.client_bundle.folder import Wanted, apply, plan, read
from splitway.client_bundle.making import bundles_of
from splitway.client_bundle.offers import offers_of
from splitway.compiler import compile_state
from splitway.kept import Kept
from splitway.reconcile import wireguard
from splitway.reconcile.wireguard import SERVER, keypairs
from splitway.topology import parse

pytestmark = pytest.mark.parametrize("program", PROGRAMS)

ROUTER = {4: "192.0.2.1", 6: "2001:db8:1::1"}
GATEWAY = {4: "203.0.113.7", 6: "2001:db8:7::7"}  # behind the laptop's router: no route of its own leads there
LAPTOP = {4: "192.0.2.2", 6: "2001:db8:1::2"}
SITE = {4: "198.51.100.80", 6: "2001:db8:2::80"}
INSIDE = {4: "10.8.0.2", 6: "fdcc::2"}
PATH = "a-secret-of-both-sides"
TUNNEL, CARRIED = "alice.conf", "alice-ws.conf"


def private() -> str:
    return keypairs.canonical(base64.b64encode(secrets.token_bytes(32)).decode(), "a test's key")


class World:
    """A laptop, the gateway with its uplink, on which UDP is dropped, and a site behind it that says who asks."""

    def __init__(self, system: NamespaceSystem, network: Network, folder: Path, program: str) -> None:
        self.system, self.program = system, program
        self.laptop = _host(network, "laptop", ROUTER, LAPTOP)
        for address in GATEWAY.values():
            run_here("ip", "address", "add", address, "dev", "lo")
        self.site = _host(network, "site", {4: "198.51.100.1", 6: "2001:db8:2::1"}, SITE)
        _answer(self.site)
        for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            system.set_sysctl(f"net/{key}", "1")
        run_here("nft", "add table inet blocked")
        for hook in ("input", "forward"):
            run_here("nft", f"add chain inet blocked {hook} {{ type filter hook {hook} priority 0; }}")
            run_here("nft", f'add rule inet blocked {hook} iifname "laptop" meta l4proto udp drop')
        self.folder = folder / "bundles"
        self.tools = folder / "tools"
        self.tools.mkdir()
        # wg-quick wants a program for DNS=, which reads what it is given: else a SIGPIPE ends wg-quick now and then.
        # The laptop's names are not the subject.
        (self.tools / "resolvconf").write_text("#!/bin/sh\nexec cat\n")
        (self.tools / "resolvconf").chmod(0o755)
        authority = Authority(folder / "authority")
        self.ca = authority.certificate.read_text()
        issued = authority.issue("gateway", NAME, GATEWAY[4])
        own = own_copy(program, folder)
        self.key, self.server_key = private(), private()
        self.variables = {
            "splitway_server": {
                "addresses": ["10.8.0.1/24", "fdcc::1/64"],
                "endpoint": NAME,
                "private_key": self.server_key,
                "websocket": {
                    "program": program,
                    "port": "443-445",
                    "path": PATH,
                    "certificate": str(issued.certificate),
                    "key": str(issued.key),
                },
            },
            "splitway_programs": {program: {"path": str(own)}},
            "splitway_clients": [
                {"name": "alice", "addresses": [*INSIDE.values()], "private_key": self.key, "persistent_keepalive": 1}
            ],
        }
        self.state = compile_state(parse(self.variables), {})
        bring(system, self.state.transports)
        devices = (self.state.server,)
        wireguard.apply(system, wireguard.plan(devices, wireguard.read(system, devices, SERVER)))

    def bundle(self, family: int, endpoint: str = NAME) -> Path:
        """Make the bundle, put the program beside it as the page says, and return the folder."""
        server = {**self.variables["splitway_server"], "endpoint": endpoint}
        offers = offers_of(parse({**self.variables, "splitway_server": server}), self.state)
        (made,) = bundles_of(offers, "gw1", GATEWAY[family], self.ca, Kept(self.system).ports.read())
        wanted = (Wanted("alice", contents(made, self.key, _public(self.server_key), qr=False)),)
        current = read(self.system, self.folder, wanted)
        apply(self.system, current, plan(wanted, current, purge=True))
        shutil.copy(binary(self.program), self.folder / "alice" / self.program)
        return self.folder / "alice"

    @contextlib.contextmanager
    def up(self, file: Path):
        """Have a tunnel on the laptop, by wg-quick."""
        quick = ("env", f"PATH={self.tools}:/usr/sbin:/usr/bin:/sbin:/bin", "wg-quick")
        self.laptop.run(*quick, "up", str(file))
        try:
            yield
        finally:
            self.laptop.run(*quick, "down", str(file))

    def seen(self, family: int, size: int = 0, timeout: float = 10.0) -> str:
        """Return as whom the site sees the laptop, after so many bytes went there and back; "" without an answer."""
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        with self.laptop.entered():
            connection = socket.socket(kind, socket.SOCK_STREAM)
        with contextlib.closing(connection):
            connection.settimeout(timeout)
            try:
                connection.connect((SITE[family], 80))
                address = connection.recv(100).decode()
                sent = secrets.token_bytes(size)
                threading.Thread(target=_send, args=(connection, sent), daemon=True).start()
                received = b""
                while len(received) < size:
                    received += connection.recv(1 << 16)
            except OSError:
                return ""
            return address if received == sent else "damaged"


def _send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(data)


def _host(network: Network, name: str, ours: dict[int, str], theirs: dict[int, str]) -> Namespace:
    host = network.host(name)
    lengths = {4: 24, 6: 64}
    sides = [tuple(f"{side[family]}/{length}" for family, length in lengths.items()) for side in (ours, theirs)]
    network.connect(host, name, *sides)
    return host


def _public(key: str) -> str:
    return run_here("sh", "-c", f"echo {key} | wg pubkey").strip()


def _answer(site: Namespace) -> None:
    """Have a server there that tells each who asks by which address, and then repeats what it says."""
    with site.entered():
        listener = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)

    def repeat(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(connection.getpeername()[0].removeprefix("::ffff:").encode())
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=repeat, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


@pytest.fixture
def system(_namespace: int) -> Iterator[NamespaceSystem]:
    """The gateway. pytest's own folders are too deep for the address of a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="sw") as folder:
        gateway = NamespaceSystem(Path(folder))
        yield gateway
        gateway.plain_units.close()


@pytest.fixture
def world(system: NamespaceSystem, network: Network, tmp_path: Path, program: str) -> World:
    return World(system, network, tmp_path, program)


def test_without_udp_the_first_file_is_of_no_use_and_the_second_is(world: World, program: str) -> None:
    folder = world.bundle(4, GATEWAY[4])  # wg-quick would ask for a name
    with world.up(folder / TUNNEL):
        assert world.seen(4, timeout=1) == ""
    assert world.seen(4) == LAPTOP[4], "without a tunnel it is seen as itself"
    world.laptop.start("sh", str(folder / "websocket.sh"))
    with world.up(folder / CARRIED):
        wait_for(lambda: world.seen(4, timeout=1) == INSIDE[4], "IPv4 through the tunnel")
        assert world.seen(6) == INSIDE[6], "both families, whichever carries the tunnel"
        assert world.seen(4, size=2_000_000) == INSIDE[4]


@pytest.mark.parametrize("family", [4, 6])
def test_the_tunnel_never_carries_itself(world: World, program: str, family: int) -> None:
    folder = world.bundle(family)
    interface = CARRIED.removesuffix(".conf")
    kind, address = {4: "ip", 6: "ip6"}[family], GATEWAY[family]
    world.laptop.run("nft", "add table inet watch")
    world.laptop.run("nft", "add chain inet watch output { type filter hook output priority 0; }")
    for way in (interface, "laptop"):
        world.laptop.run("nft", f'add rule inet watch output oifname "{way}" {kind} daddr {address} counter')
    world.laptop.start("sh", str(folder / "websocket.sh"))
    with world.up(folder / CARRIED):
        wait_for(lambda: world.seen(family, size=200_000, timeout=5) == INSIDE[family], "the tunnel", 60)
        tunnel, wire = (
            int(line.split("packets ")[1].split()[0])
            for line in world.laptop.run("nft", "list table inet watch").splitlines()
            if "packets" in line
        )
        assert tunnel == 0
        assert wire > 100


def test_a_connection_that_broke_comes_back_while_the_tunnel_is_on(world: World, program: str) -> None:
    folder = world.bundle(4)
    world.laptop.start("sh", str(folder / "websocket.sh"))
    with world.up(folder / CARRIED):
        wait_for(lambda: world.seen(4, timeout=1) == INSIDE[4], "the tunnel")
        for unit in world.system.units.named("splitway-transport-"):
            world.system.units.kill(unit)
        wait_for(lambda: world.seen(4, timeout=1) == "", "the break")
        bring(world.system, world.state.transports)
        # The laptop asks for names in the tunnel, which is down: nothing that carries it may wait for one.
        wait_for(lambda: world.seen(4, timeout=1) == INSIDE[4], "the tunnel again", 60)
