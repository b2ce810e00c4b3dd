# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole gateway whose tunnel travels in a WebSocket, and an exit: UDP is dropped on the way between them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from namespaces import NamespaceSystem, Network, run_here, wait_for
from relays import NAME
from test_healing import Running, run_site
from traffic import captured
from transported import EXIT, PATH, PROGRAMS, PUBLIC, Relay

from splitway.applying import drift
from splitway.compiler import compile_state
from splitway.reconcile.sections import RECONCILERS
from splitway.reconcile.wireguard import keypairs
from splitway.state import SECTIONS, Device, Peer, State
from splitway.store import Store
from splitway.topology import parse
from splitway.transaction import begin, bring, commit, remove_all, roll_back

FAR, PORT = "10.64.0.1", 7
FOREIGN = "203.0.113.80"  # somewhere behind the exit
pytestmark = pytest.mark.parametrize("program", PROGRAMS)


class World(Relay):
    """The relay's two hosts, with WireGuard on both."""

    def __init__(self, system: NamespaceSystem, network: Network, folder: Path, program: str) -> None:
        super().__init__(system, network, folder, program)
        run_here("ip", "route", "add", "default", "via", EXIT)
        self.exit_host.run("nft", "add table inet blocked")
        self.exit_host.run("nft", "add chain inet blocked in { type filter hook input priority 0; }")
        self.exit_host.run("nft", 'add rule inet blocked in iifname "uplink" udp dport != 53 drop')
        for address in (FOREIGN, PUBLIC):
            self.exit_host.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        self.bring_exit(self.server())
        ours, theirs = (run_here("wg", "genkey").strip() for _ in range(2))
        peer = Peer("gateway", keypairs.public_of(system, ours), ("10.64.0.2/32",))
        far = Device("server", "wg-far", theirs, (f"{FAR}/24",), (peer,), listen_port=51820)
        with self.exit_host.entered():
            reconciler, state = RECONCILERS["server"], State(server=far)
            reconciler.apply(self.exit, reconciler.changes(self.exit, state))
        self.variables: dict[str, Any] = {
            "splitway_server": {"addresses": ["10.8.0.1/24"], "listen_port": 51999},
            "splitway_dns": {"servers": [EXIT]},
            "splitway_upstreams": [
                {
                    "name": "us",
                    "endpoint": f"{EXIT}:51820",
                    "public_key": keypairs.public_of(system, theirs),
                    "private_key": ours,
                    "addresses": ["10.64.0.2/32"],
                    "transport": program,
                    "websocket": {
                        "server": f"wss://{EXIT}:443",
                        "path": PATH,
                        "ca": str(self.authority.certificate),
                        "ports": "41000-41003",
                    },
                }
            ],
            "splitway_programs": {program: {"path": self.programs[0].path}},
            "splitway_policies": {"away": {"default": "us"}},
        }

    @property
    def store(self) -> Store:
        return Store(self.system)

    def reached(self) -> bool:
        """Return whether what is bound to the tunnel reaches the exit through it, in the end."""
        end = time.monotonic() + 60
        with self.exit_host.entered():
            answerer = socket.create_server((FAR, PORT))
        with answerer:
            while time.monotonic() < end:
                with contextlib.suppress(OSError), socket.socket() as connection:
                    connection.settimeout(1)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wg-up-1")
                    connection.connect((FAR, PORT))
                    return True
        return False


@pytest.fixture
def world(system: NamespaceSystem, network: Network, program: str) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="sw") as folder:
        made = World(system, network, Path(folder), program)
        yield made
        made.exit.plain_units.close()


def endpoint() -> str:
    return run_here("wg", "show", "wg-up-1", "endpoints").split()[1]


def test_a_tunnel_comes_up_where_udp_is_dropped(world: World, program: str) -> None:
    with captured(world.exit_host, "uplink") as packets:
        run_site(world.store, world.variables)
        assert world.reached()
    assert endpoint() == "127.0.0.1:41000"
    assert "mtu 1360" in run_here("ip", "link", "show", "wg-up-1")
    # TCP, and dnsmasq's questions to the resolver that the operator named.
    ours = [packet for packet in packets if packet[0] >> 4 == 4]
    assert {6} <= {packet[9] for packet in ours} <= {6, 17}
    assert {int.from_bytes(packet[22:24], "big") for packet in ours if packet[9] == 17} <= {53}
    assert not any(drift(world.store, world.store.generation()).values())


@pytest.mark.parametrize("server", [PUBLIC, NAME])
def test_what_carries_the_tunnel_is_not_carried_by_it(world: World, program: str, server: str) -> None:
    """Under a policy that sends all that the gateway does itself through the tunnel; its server may have a name."""
    world.variables["splitway_host_policy"] = "away"
    world.variables["splitway_upstreams"][0]["websocket"]["server"] = f"wss://{server}:443"
    with accounts_of(world), names_at_the_exit(world):
        run_site(world.store, world.variables)
        assert world.reached()
        with world.exit_host.entered():
            answerer = socket.create_server((FOREIGN, PORT))
        with captured(world.exit_host, "wg-far") as packets, answerer:
            socket.create_connection((FOREIGN, PORT), timeout=20).close()
            (unit,) = world.system.units.named("splitway-transport-")
            world.system.units.restart(unit)  # it asks for the name again, while the tunnel is there
            assert world.reached()
        assert packets, "the host's own connections go through the tunnel"
        # A loop would be the WebSocket's own connection, to port 443, inside of the tunnel; or its questions.
        assert not [packet for packet in packets if int.from_bytes(packet[22:24], "big") in (443, 53)]


@contextlib.contextmanager
def names_at_the_exit(world: World) -> Iterator[None]:
    """Have the host ask the exit, directly, for names."""
    asked = world.system.root.parent / "resolv.conf"
    asked.write_text(f"nameserver {EXIT}\n")
    listen = (
        f"--listen-address={EXIT}",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
        f"--address=/{NAME}/{PUBLIC}",
    )
    world.exit_host.start("dnsmasq", "-k", *listen, "--conf-file=/dev/null", "--pid-file=", "--user=root")
    wait_for(lambda: world.exit_host.run("ss", "-Hltn", "sport = :53"), "who tells the names")
    subprocess.run(["mount", "--bind", asked, "/etc/resolv.conf"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/resolv.conf"], check=True)


@contextlib.contextmanager
def accounts_of(world: World) -> Iterator[None]:
    """Let this machine know the user that we made, whom rules name by its number."""
    made = world.system.root / "etc" / "passwd"
    lines = Path("/etc/passwd").read_text().splitlines()
    number = 60000 + os.getpid() % 1000
    own = world.system.root.parent / "passwd"
    line = f"splitway-transport:x:{number}:65534::/:/usr/sbin/nologin"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(f"{line}\n")
    own.write_text("\n".join([*lines, line]) + "\n")
    subprocess.run(["mount", "--bind", own, "/etc/passwd"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/passwd"], check=True)


@pytest.fixture
def healed(world: World) -> Iterator[World]:
    run_site(world.store, world.variables)
    with Running(world.store) as agent:
        wait_for(lambda: agent.healer.readings.devices, "the first look")
        yield world


FAULTS = {
    "killed": lambda units, unit: units.kill(unit),
    "stopped": lambda units, unit: units.stop(unit),
    "unit removed": lambda units, unit: units.remove(unit),
    "unit changed": lambda units, unit: units.file(unit).write_text("[Service]\nExecStart=/bin/true\n"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_breaks_is_healed(healed: World, program: str, fault: str) -> None:
    (unit,) = healed.system.units.named("splitway-transport-")
    FAULTS[fault](healed.system.units, unit)
    wait_for(lambda: not any(drift(healed.store, healed.store.generation()).values()), "no drift")
    assert healed.reached()


def test_a_port_that_was_taken_meanwhile_moves_and_the_tunnel_follows(healed: World, program: str) -> None:
    assert healed.reached()
    (unit,) = healed.system.units.named("splitway-transport-")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:

        def taken() -> bool:
            """The agent may be faster."""
            healed.system.units.kill(unit)
            with contextlib.suppress(OSError):
                stranger.bind(("127.0.0.1", 41000))
            return bool(stranger.getsockname()[1])

        wait_for(taken, "the port")
        wait_for(lambda: endpoint() == "127.0.0.1:41001", "the other port")
        assert healed.reached()
        assert healed.store.kept.ports.read() == {"transport/us/wireguard": 41001}


def test_a_run_that_fails_puts_back_what_was(world: World, program: str) -> None:
    run_site(world.store, world.variables)
    (unit,) = world.system.units.named("splitway-transport-")
    text = world.system.units.read(unit)
    other = world.store.generation()
    begin(world.store, "fails")
    world.variables["splitway_upstreams"][0]["websocket"]["ping"] = 7
    state = compile_state(parse(world.variables), other.numbers)
    bring(world.store, "transports", state.transports, backend=None, transaction="fails", purge=True)
    assert world.system.units.read(unit) != text
    roll_back(world.store, "fails")
    assert world.system.units.read(unit) == text
    assert world.reached()


def test_a_tunnel_that_its_last_websocket_took_along_goes_by_udp(world: World, program: str) -> None:
    run_site(world.store, world.variables)
    assert world.reached()
    (upstream,) = world.variables["splitway_upstreams"]
    upstream["transport"] = "udp"
    del upstream["websocket"], world.variables["splitway_programs"]
    begin(world.store, "run")
    state = compile_state(parse(world.variables), world.store.generation().numbers)
    for section in SECTIONS:
        backend = state.backend if section in ("sets", "marks") else None
        bring(world.store, section, getattr(state, section), backend=backend, transaction="run", purge=True)
    assert endpoint() == f"{EXIT}:51820"
    # What comes over the WebSocket now: a packet of the exit's.
    run_here("wg", "set", "wg-up-1", "peer", upstream["public_key"], "endpoint", "127.0.0.1:41000")
    commit(world.store, "run", state.numbers)
    assert endpoint() == f"{EXIT}:51820"
    assert world.system.units.named("splitway-transport-") == ()
    assert not any(drift(world.store, world.store.generation()).values())


def test_a_first_run_that_fails_and_a_teardown_leave_nothing(world: World, program: str) -> None:
    begin(world.store, "fails")
    state = compile_state(parse(world.variables), {})
    for section in ("transports", "upstreams"):
        bring(world.store, section, getattr(state, section), backend=None, transaction="fails", purge=True)
    roll_back(world.store, "fails")
    assert left(world) == []
    run_site(world.store, world.variables)
    remove_all(world.store)
    assert left(world) == []
    assert world.system.units.named("splitway-transport-") == ()


def left(world: World) -> list[Path]:
    """Return what is left of the section."""
    system = world.system
    found = [path for path in (system.configuration / "transports", system.data / "ports.json") if path.exists()]
    return found + list(system.runtime.parent.glob("run-transport-*"))
