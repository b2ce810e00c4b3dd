# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that blocks UDP half-way through a transfer: the tunnel goes on over its WebSocket, and returns.

The hosts are those of test_mtu: client ── gateway ── near ── far ── exit; `near` blocks.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from namespaces import NamespaceSystem, run_here, wait_for
from relays import Authority
from test_daemon import agent
from test_mtu import EXIT, WEB, World, world
from transported import PATH, PROGRAMS, bring, own_copy

from splitway.agent import control
from splitway.agent.transports import servers
from splitway.applying import drift
from splitway.state import PortRange, Program, Transports, TransportServer, TransportTarget

__all__ = ["world"]
PORTS = (443, 8443)  # of the exit's two servers
PASSWORD = "p@ss:w/o%r&d? x"
PROXY = 3128  # on the exit's loopback
RATE = 2_000_000  # bytes a second
TIMES = {
    "transports.counting.LOOK": 1.0,
    "transports.fall.GIVE_UP": 8.0,
    "transports.returns.HOLD": 10.0,
    "transports.serving.CHECK": 2.0,
    "transports.servers.FIRST_PAUSE": 1.0,
    "transports.ways.FIRST_PAUSE": 12.0,
    "upstreams.fitting.SOON": 1.0,
}
"""Shorter than the agent's own, so that no test waits as long as a gateway does."""


class Transfer:
    """Data that comes to the client through the tunnel at RATE, by one connection of TCP, until it is ended."""

    def __init__(self, world: World) -> None:
        self.sent = self.received = 0
        self.longest = 0.0  # seconds without data
        self._last = time.monotonic()
        self._end = threading.Event()
        with world.exit.entered():
            listener = socket.create_server((WEB[4], 9000))
        self._sending = threading.Thread(target=self._send, args=(listener,))
        with world.client.entered():
            self._connection = socket.create_connection((WEB[4], 9000), 10)
        self._connection.settimeout(60)
        self._receiving = threading.Thread(target=self._receive)
        self._sending.start()
        self._receiving.start()

    def _send(self, listener: socket.socket) -> None:
        with listener, listener.accept()[0] as connection:
            began = time.monotonic()
            while not self._end.wait(max(0.0, began + self.sent / RATE - time.monotonic())):
                connection.sendall(bytes(RATE // 100))
                self.sent += RATE // 100

    def _receive(self) -> None:
        with self._connection as connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                now = time.monotonic()
                self.longest = max(self.longest, now - self._last)
                self._last = now
                self.received += len(data)

    @property
    def quiet(self) -> float:
        """Return the seconds since the last data."""
        return time.monotonic() - self._last

    def ends_well(self) -> bool:
        self._end.set()
        self._sending.join(30)
        self._receiving.join(30)
        return self.received == self.sent


def each(*values: str) -> list[Any]:
    """Return parameters that go with websocat and with wstunnel."""
    return [pytest.param(value, *program.values, marks=program.marks) for value, program in zip(values, PROGRAMS)]


class Carried:
    """The tunnel's hosts with WebSockets between them: the exit has two servers, which the tests stop and start."""

    def __init__(self, world: World, folder: Path, program: str) -> None:
        self.world, self.program = world, program
        authority = Authority(folder / "ca")
        self.issued = authority.issue("exit", "exit.example.net", EXIT[4])
        self.authority = authority.certificate
        self.binary = str(own_copy(program, folder))
        with world.exit.entered():
            self.exit = NamespaceSystem(folder / "exit")

    def serve(self, *ports: int) -> None:
        """Have the exit's WebSocket served at these ports only."""
        servers = tuple(
            TransportServer(
                name=f"exit{port}",
                program=self.program,
                listen=("0.0.0.0",),  # noqa: S104
                port=PortRange(f"transport/{port}", port, port),
                path=PATH,
                certificate=str(self.issued.certificate),
                key=str(self.issued.key),
                targets=(TransportTarget("udp", "127.0.0.1:51820"), TransportTarget("tcp", f"127.0.0.1:{PROXY}")),
            )
            for port in ports
        )
        with self.world.exit.entered():
            bring(self.exit, Transports((), servers, (Program(self.program, self.binary),)))

    def run_site(self, backend: str, transport: str = "auto", more: dict[str, Any] | None = None) -> None:
        """Set the gateway up, its upstream with both servers."""
        websocket = {
            "servers": [f"wss://{EXIT[4]}:{port}" for port in PORTS],
            "path": PATH,
            "ca": str(self.authority),
            **({"program": self.program} if transport == "auto" else {}),
        }
        programs = {"splitway_programs": {self.program: {"path": self.binary}}}
        self.world.run_site(backend, 4, {**programs, **(more or {})}, transport=transport, websocket=websocket)

    def logs(self) -> str:
        """Return all that was logged: by runs, by the agent, by what the units of both hosts run."""
        gateway = self.world.system
        at = gateway.configuration.parent
        folders = (gateway.log, gateway.plain_units.folder, self.exit.plain_units.folder)
        files = [at / "agent.log", *(path for folder in folders for path in folder.rglob("*") if path.is_file())]
        units = [path for path in files if path.suffix != ".service"]
        assert len(units) > 5
        return "\n".join([*(path.read_text(errors="replace") for path in units), *gateway.commands])

    def transport(self) -> dict[str, Any]:
        """Return what the agent says of the WebSocket."""
        found: dict[str, Any] = control.ask(self.world.system, "status")["transports"][0]
        return found


@pytest.fixture
def carried(world: World, program: str) -> Iterator[Carried]:
    # pytest's own folders are too deep for the address of a Unix socket.
    with tempfile.TemporaryDirectory(prefix="sw") as folder:
        made = Carried(world, Path(folder), program)
        yield made
        made.exit.plain_units.close()


def block(world: World) -> None:
    world.near.run("nft", "add table inet block; add chain inet block forward { type filter hook forward priority 0; }")
    world.near.run(
        "nft", "add rule inet block forward udp dport 51820 drop; add rule inet block forward udp sport 51820 drop"
    )


def unblock(world: World) -> None:
    world.near.run("nft", "delete table inet block")


def endpoint() -> str:
    return run_here("wg", "show", "wg-up-1", "endpoints").split()[-1]


def way(world: World) -> str:
    return str(world.upstream()["way"])


def goes_over(world: World, transfer: Transfer) -> float:
    """Block UDP; return the seconds until the WebSocket is used. The transfer goes on by it."""
    block(world)
    began = time.monotonic()
    wait_for(lambda: way(world) == "websocket", "the WebSocket")
    switched = time.monotonic() - began
    assert endpoint().startswith("127.0.0.1:410")
    wait_for(lambda: world.mtu() == 1360, "the WebSocket's MTU")
    wait_for(lambda: transfer.quiet < 0.2, "data")
    return switched


def goes_back(world: World, transfer: Transfer) -> float:
    """Let UDP through; return the longest time, in seconds, without data of the transfer's, which goes back to it."""
    transfer.longest = 0.0
    unblock(world)
    wait_for(lambda: way(world) == "udp", "UDP", 120)
    wait_for(lambda: endpoint() == f"{EXIT[4]}:51820", "what was on its way over the WebSocket")
    time.sleep(5)  # by UDP, it neither stalls nor goes over again
    assert endpoint() == f"{EXIT[4]}:51820"
    return transfer.longest


@pytest.mark.parametrize(("backend", "program"), each("ipset", "nftables"))
def test_udp_is_blocked_half_way_through_a_transfer_and_comes_back(carried: Carried, backend: str) -> None:
    world = carried.world
    carried.serve(*PORTS)
    carried.run_site(backend)
    with agent(world.system, TIMES):
        wait_for(lambda: world.upstream()["state"] == "up" and world.mtu() == 1440, "the tunnel", 60)
        transfer = Transfer(world)
        time.sleep(1)
        switched = goes_over(world, transfer)
        stalled = transfer.longest
        assert not any(drift(world.store, world.store.generation()).values()), "a run of site.yml leaves it alone"
        wait_for(lambda: carried.transport()["state"] == "up", "a word on it")
        wait_for(lambda: carried.transport()["received"] > RATE, "its bytes")
        wait_for(lambda: carried.transport()["rtt"], "how long an answer takes")
        assert carried.transport()["expires"] > time.time()
        assert endpoint().startswith("127.0.0.1:410")
        back = goes_back(world, transfer)
        for _ in range(2):
            print(f"{backend}: over in {switched:.1f} s, {stalled:.1f} s without data; going back {back:.2f} s")
            if back < 1:
                break
            switched = goes_over(world, transfer)  # a busy machine may keep data waiting now and then
            back = goes_back(world, transfer)
        assert transfer.ends_well()
        assert world.mtu() == 1440
        assert back < 1
        assert world.upstream()["state"] == "up"
    audit = (world.system.log / "audit.jsonl").read_text()
    assert "transport of us: the exit answers by UDP" in audit


@pytest.mark.parametrize(("transport", "program"), each("websocat", "wstunnel"))
def test_a_server_that_dies_is_left_for_the_next_and_used_again(carried: Carried, transport: str) -> None:
    world = carried.world
    carried.serve(*PORTS)
    carried.run_site("nftables", transport)
    with agent(world.system, TIMES):
        wait_for(lambda: world.upstream()["state"] == "up", "the tunnel", 60)
        wait_for(lambda: (way(world), world.mtu()) == ("websocket", 1360), "its way")
        carried.serve(PORTS[1])
        began = time.monotonic()
        wait_for(lambda: carried.transport()["backup"], "the next server", 60)
        print(f"{transport}: next server after {time.monotonic() - began:.1f} s")
        assert carried.transport()["restarts"] >= servers.TRIES  # a busy machine's slow start has some, too
        wait_for(lambda: world.upstream()["state"] == "up", "the tunnel by the next server", 60)
        assert not any(drift(world.store, world.store.generation()).values()), "a run of site.yml leaves it alone"
        carried.serve(*PORTS)
        wait_for(lambda: not carried.transport()["backup"], "the first server", 60)
        wait_for(lambda: carried.transport()["state"] == "up", "the tunnel by the first server", 60)


def greet(carried: Carried) -> None:
    """Have something on the exit that speaks as an HTTP proxy does."""
    with carried.world.exit.entered():
        listener = socket.create_server(("127.0.0.1", PROXY))

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as connection:
                    if connection.recv(100):
                        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    threading.Thread(target=answer, daemon=True).start()


@pytest.mark.parametrize("program", PROGRAMS)
def test_another_mode_is_in_force_while_no_tunnel_works(carried: Carried) -> None:
    world = carried.world
    carried.serve(*PORTS)
    greet(carried)
    proxies = [
        {
            "name": "out",
            "socks5": {"listen": ["127.0.0.1"], "port": 1085},
            "users": [{"name": "alice", "password": PASSWORD}],
            "upstream": "us",
        }
    ]
    modes = {"splitway_mode": "wireguard", "splitway_fallback_modes": ["proxy"], "splitway_proxies": proxies}
    carried.run_site("nftables", more=modes)

    def mode() -> str:
        return str(control.ask(world.system, "status")["mode"]["used"])

    def served(password: str = PASSWORD) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 1085), 10) as connection:
            connection.sendall(b"\x05\x01\x02")
            if connection.recv(2) == b"\x05\x02":
                connection.sendall(b"\x01\x05alice" + bytes([len(password)]) + password.encode())
                return connection.recv(2) == b"\x01\x00"
        return False

    with agent(world.system, TIMES):
        assert control.ask(world.system, "log-level debug") == "debug"
        wait_for(lambda: world.upstream()["state"] == "up", "the tunnel", 60)
        assert (mode(), served()) == ("wireguard", False)
        world.exit.run("ip", "link", "set", "wg-exit", "down")
        began = time.monotonic()
        wait_for(lambda: mode() == "proxy", "the next mode", 120)
        print(f"the next mode after {time.monotonic() - began:.0f} s")
        wait_for(served, "the proxy")
        assert not served(PASSWORD[:-1])
        assert not any(drift(world.store, world.store.generation()).values()), "a run of site.yml leaves it alone"
        world.exit.run("ip", "link", "set", "wg-exit", "up")
        wait_for(lambda: world.upstream()["state"] == "up", "the tunnel", 60)
        wait_for(lambda: mode() == "wireguard", "the operator's mode", 60)
        wait_for(lambda: not served(), "the end of the proxy")
    audit = (world.system.log / "audit.jsonl").read_text()
    assert "mode: wireguard moves no data, proxy does" in audit
    assert "mode: wireguard works again" in audit
    logs = carried.logs()
    assert "upstream us: 10.64.0.1 " in logs, "at that level each round of probes is told"
    assert [secret for secret in (PATH, PASSWORD, PASSWORD[:-1], *world.private_keys()) if secret in logs] == []
