# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries the other way of a tunnel. WireGuard follows an exit that answers from elsewhere, so a trial costs one packet.

For a moment the exit is said to be at the other way's end, and something is asked through the tunnel. The exit answers
by the way on which it was asked last, and what comes from there moves our end over, too. By UDP that is not left to
the answer alone, which may have come over the WebSocket like everything else at this moment: the exit's own datagrams
are listened for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple

from ...reconcile import wireguard
from ...reconcile.wireguard.live import split_endpoint
from ...state import Watch
from ...store import Store
from ..healing.loop import Worker
from ..upstreams import echo, probes

MOMENTS = 3
"""How often WireGuard is told the other way in one go. What still comes over the WebSocket takes it back at once: in a
transfer of 2 MB/s after 0.7 ms. One telling takes 1.2 ms (measured), and what clients send in such a moment is lost
where the other way is blocked."""

HOLDING = 0.3  # seconds in which what was on its way over the WebSocket arrives
EVERY = 0.0003  # seconds between two packets that are to go the other way
TRIES = 3

_PATIENCE = 2.0  # seconds for somebody who changes the gateway


class Tunnel(NamedTuple):
    """A tunnel that may take either way."""

    watch: Watch
    key: str  # the exit's public key
    websocket: str  # "127.0.0.1:port"


def endpoint(store: Store, tunnel: Tunnel) -> str:
    """Return where WireGuard believes the exit to be; "" when it knows of no place. Raises SystemFailure."""
    for line in store.system.read("wg", "show", tunnel.watch.interface, "endpoints").splitlines():
        key, _, found = line.partition("\t")
        if key == tunnel.key and found != "(none)":
            return found
    return ""


def point(store: Store, tunnel: Tunnel, where: str) -> None:
    """Tell WireGuard that the exit is there. Raises Held, SystemFailure."""
    with store.lock(_PATIENCE):
        wireguard.set_endpoints(store.system, tunnel.watch.interface, [(tunnel.key, where)])


def hold(store: Store, tunnel: Tunnel, where: str) -> None:
    """Tell WireGuard that the exit is there while the WebSocket runs empty. Raises Held, SystemFailure.

    Told once, it is there for less than a millisecond of a large transfer, and the exit hears nothing by UDP meanwhile.
    """
    with store.lock(_PATIENCE), _calling(tunnel.watch):
        until = time.monotonic() + HOLDING
        while time.monotonic() < until:
            wireguard.set_endpoints(store.system, tunnel.watch.interface, [(tunnel.key, where)])


async def over_websocket(worker: Worker[Any], store: Store, tunnel: Tunnel, patience: float) -> bool:
    """Return whether the exit answers over the WebSocket; if it does, the tunnel is left there.

    For a tunnel whose UDP leaves probes unanswered: it stays on the WebSocket for up to `patience` seconds.
    Raises Held, SystemFailure.
    """
    before = await worker(endpoint, store, tunnel)
    await worker(point, store, tunnel, tunnel.websocket)
    memory, deadline = probes.Memory(), time.monotonic() + patience
    answered = False
    try:
        while not answered and time.monotonic() < deadline:
            answered = any(reply is not None for reply in (await probes.ask(tunnel.watch, memory)).values())
    finally:
        memory.close()
    if answered:
        # Not there any more: UDP has answered at this very moment.
        return bool(await worker(endpoint, store, tunnel) == tunnel.websocket)
    if before:
        await worker(point, store, tunnel, before)
    return False


async def by_udp(worker: Worker[Any], store: Store, tunnel: Tunnel, where: str) -> bool:
    """Return whether the exit answers by UDP at "address:port"; the tunnel has moved there by itself, or will be told.

    For a tunnel on its WebSocket, whose traffic goes on. Raises Held, SystemFailure, OSError.
    """
    with _Ear(where) as ear:
        for _ in range(TRIES):
            memory = probes.Memory()
            asked = asyncio.wrap_future(await worker(_glance, store, tunnel, where, asyncio.get_running_loop(), memory))
            try:
                await asyncio.wait([ear.heard], timeout=tunnel.watch.timeout / 1000 / TRIES)
            finally:
                asked.cancel()
                await asyncio.wait([asked])
                memory.close()
            if ear.heard.done():
                return True
    return False


def _glance(
    store: Store, tunnel: Tunnel, where: str, loop: asyncio.AbstractEventLoop, memory: probes.Memory
) -> Future[Any]:
    """Ask once while the exit is said to be there; return what comes of the asking."""
    interface = tunnel.watch.interface
    with store.lock(_PATIENCE):
        asked = asyncio.run_coroutine_threadsafe(probes.ask(tunnel.watch, memory), loop)
        with _calling(tunnel.watch):
            try:
                for _ in range(MOMENTS):
                    wireguard.set_endpoints(store.system, interface, [(tunnel.key, where)])
            finally:
                wireguard.set_endpoints(store.system, interface, [(tunnel.key, tunnel.websocket)])
    return asked


@contextlib.contextmanager
def _calling(watch: Watch) -> Iterator[None]:
    """Have something sent through a tunnel all the time."""
    done = threading.Event()
    calling = threading.Thread(target=_call, args=(watch, done))
    calling.start()
    try:
        yield
    finally:
        done.set()
        calling.join()


def _call(watch: Watch, done: threading.Event) -> None:
    """Send something through a tunnel again and again, so that a moment in which it goes the other way has some."""
    if not watch.targets:
        return
    address = watch.targets[0].address
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_RAW, echo.PROTOCOLS[family]) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, watch.interface.encode())
        echo.restrict(connection)
        while not done.wait(EVERY):
            connection.sendto(echo.request(family, echo.Identity(os.getpid() & 0xFFFF, 0)), (address, 0))


class _Ear:
    """Hears whether datagrams come from an address and port of the exit's."""

    def __init__(self, where: str) -> None:
        host, port = split_endpoint(where)
        self._port, self._loop = int(port), asyncio.get_running_loop()
        self.heard: asyncio.Future[None] = self._loop.create_future()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_UDP)
        try:
            self._socket.connect((host, 0))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> _Ear:
        self._loop.add_reader(self._socket, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self.heard.cancel()

    def _hear(self) -> None:
        packet = self._socket.recv(64)
        start = (packet[0] & 15) * 4 if self._socket.family == socket.AF_INET else 0
        if int.from_bytes(packet[start : start + 2], "big") == self._port and not self.heard.done():
            self.heard.set_result(None)
