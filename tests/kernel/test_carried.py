# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that blocks UDP half-way through a transfer: the tunnel goes on over its WebSocket, and returns.

The hosts are those of test_mtu: client ── gateway ── near ── far ── exit; `near` blocks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from namespaces import run_here, wait_for
from test_daemon import agent
from test_mtu import EXIT, WEB, World, world

from splitway.state import PortRange
from splitway.transaction import drift

__all__ = ["world"]
pytestmark = pytest.mark.skipif(shutil.which("websocat") is None, reason="websocat is not installed")
LOCAL, SERVER = 41000, 8443
RATE = 2_000_000  # bytes a second


class Transfer:
    """Data that comes to the client through the tunnel at RATE, by one connection of TCP."""

    def __init__(self, world: World, seconds: float) -> None:
        self.received = 0
        self.longest = 0.0  # seconds without data
        self._last = time.monotonic()
        with world.exit.entered():
            listener = socket.create_server((WEB[4], 9000))
        self._sending = threading.Thread(target=self._send, args=(listener, seconds))
        with world.client.entered():
            self._connection = socket.create_connection((WEB[4], 9000), 10)
        self._connection.settimeout(60)
        self._receiving = threading.Thread(target=self._receive)
        self._sending.start()
        self._receiving.start()
        self.expected = int(seconds * 100) * (RATE // 100)

    def _send(self, listener: socket.socket, seconds: float) -> None:
        with listener, listener.accept()[0] as connection:
            began = time.monotonic()
            for count in range(int(seconds * 100)):
                connection.sendall(bytes(RATE // 100))
                time.sleep(max(0.0, began + count / 100 - time.monotonic()))

    def _receive(self) -> None:
        with self._connection as connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                now = time.monotonic()
                self.longest = max(self.longest, now - self._last)
                self._last = now
                self.received += len(data)

    def ended_well(self) -> bool:
        self._receiving.join(60)
        self._sending.join(1)
        return self.received == self.expected


@contextlib.contextmanager
def websocket(world: World) -> Iterator[None]:
    """Carry the exit's WireGuard over a WebSocket, both ends started by hand."""
    server = world.exit.start("websocat", "-b", "-E", f"ws-l:0.0.0.0:{SERVER}", "udp:127.0.0.1:51820")
    url = f"ws://{EXIT[4]}:{SERVER}/"
    client = subprocess.Popen(["websocat", "-b", f"udp-l:127.0.0.1:{LOCAL}", url], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        for process in (client, server):
            process.kill()
            process.wait()


def block(world: World) -> None:
    world.near.run("nft", "add table inet block; add chain inet block forward { type filter hook forward priority 0; }")
    world.near.run(
        "nft", "add rule inet block forward udp dport 51820 drop; add rule inet block forward udp sport 51820 drop"
    )


def unblock(world: World) -> None:
    world.near.run("nft", "delete table inet block")


def either_way(world: World) -> None:
    """Let the upstream take either way."""
    state = world.store.generation()
    port = PortRange("transport/us/wireguard", LOCAL, LOCAL + 9)
    upstreams = tuple(dataclasses.replace(device, transport="auto", websocket=port) for device in state.upstreams)
    assert state.marks is not None
    tunnels = tuple(dataclasses.replace(tunnel, transport="auto") for tunnel in state.marks.tunnel_mtus)
    marks = dataclasses.replace(state.marks, tunnel_mtus=tunnels)
    world.store.publish(dataclasses.replace(state, upstreams=upstreams, marks=marks))


def endpoint() -> str:
    return run_here("wg", "show", "wg-up-1", "endpoints").split()[-1]


def way(world: World) -> str:
    return str(world.upstream()["way"])


@pytest.mark.parametrize("backend", ["ipset", "nftables"])
def test_udp_is_blocked_half_way_through_a_transfer_and_comes_back(world: World, backend: str) -> None:
    world.run_site(backend, 4)
    either_way(world)
    with websocket(world), agent(world.system):
        wait_for(lambda: world.upstream()["state"] == "up" and world.mtu() == 1440, "the tunnel", 20)
        transfer = Transfer(world, 50)
        time.sleep(1)
        block(world)
        began = time.monotonic()
        wait_for(lambda: way(world) == "websocket", "the WebSocket", 15)
        switched = time.monotonic() - began
        assert endpoint() == f"127.0.0.1:{LOCAL}"
        assert world.mtu() == 1360
        wait_for(lambda: time.monotonic() - transfer._last < 0.2, "data", 10)
        stalled = transfer.longest
        assert not any(drift(world.store, world.store.generation()).values()), "a run of site.yml leaves it alone"
        time.sleep(5)
        assert endpoint() == f"127.0.0.1:{LOCAL}"
        transfer.longest = 0.0
        unblock(world)
        wait_for(lambda: way(world) == "udp", "UDP", 40)
        assert endpoint() == f"{EXIT[4]}:51820"
        assert transfer.ended_well()
        print(f"{backend}: over in {switched:.1f} s, {stalled:.1f} s without data; going back {transfer.longest:.2f} s")
        assert world.mtu() == 1440
        assert transfer.longest < 0.5
        assert world.upstream()["state"] == "up"
    audit = (world.system.log / "audit.jsonl").read_text()
    assert "transport of us: the exit answers by UDP" in audit
