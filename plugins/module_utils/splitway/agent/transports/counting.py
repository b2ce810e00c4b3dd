# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts what WebSockets move, and tells of each what is known: for status, metrics and alerts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Optional

from ...addresses import at_port
from ...failures import FAILURES
from ...present import transports_of
from ...reconcile import certificates
from ...state import PortRange, State, TransportClient, TransportServer
from ...store import Store
from ...system import System
from ..figures import tcp_connections
from ..figures.transports import TransportStatus
from ..healing.loop import Worker
from ..upstreams import repair
from . import carriers, reach
from .serving import Serving

LOOK = 5.0  # seconds between looks at the connections
SELDOM = 600.0  # seconds between looks at certificates, and between questions for servers' addresses

log = logging.getLogger("splitway")


class Counting:
    """The figures of all WebSockets of this host."""

    def __init__(self, store: Store, serving: Serving, worker: Worker[Any]) -> None:
        self._store, self._serving, self._worker = store, serving, worker
        self._state = State()
        self._counted: dict[str, carriers.Counted] = {}  # by upstream
        self._addresses: dict[str, frozenset[str]] = {}  # by URL
        self._expires: dict[str, Optional[float]] = {}  # by a certificate's path

    def configure(self, state: State) -> None:
        """Go by another generation from now on."""
        self._state = state
        there = {client.upstream for client in self._serving.clients()}
        self._counted = {name: item for name, item in self._counted.items() if name in there}

    async def run(self) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        seldom_at = 0.0
        while True:
            if loop.time() >= seldom_at:
                seldom_at = loop.time() + SELDOM
                self._addresses.clear()
                with contextlib.suppress(*FAILURES):
                    await self._worker(self._read_certificates)
            clients = self._serving.clients()
            for client in clients:
                url = client.servers[client.server]
                if url not in self._addresses:
                    self._addresses[url] = await asyncio.to_thread(_addresses, url)
            with contextlib.suppress(*FAILURES):
                self._count(clients)
            await asyncio.sleep(LOOK)

    def _count(self, clients: tuple[TransportClient, ...]) -> None:
        ports = {client.upstream: reach.host_and_port(client.servers[client.server])[1] for client in clients}
        seen = {port: tuple(tcp_connections.to_port(self._store.system, port)) for port in set(ports.values())}
        for client in clients:
            addresses = self._addresses.get(client.servers[client.server], frozenset())
            own = (connection for connection in seen[ports[client.upstream]] if connection.address in addresses)
            before = self._counted.get(client.upstream, carriers.Counted())
            self._counted[client.upstream] = carriers.count(before, own)

    def _read_certificates(self) -> None:
        transports = self._state.transports
        self._expires = {
            server.certificate: _expires(self._store.system, server.certificate)
            for server in (transports.servers if transports is not None else ())
        }

    def status(self) -> tuple[TransportStatus, ...]:
        """Return what is known now."""
        known, restarts, changes = self._serving.known, self._serving.restarts, self._serving.changes
        near = []
        for client in self._serving.clients():
            item = known.get(client.upstream)
            counted = self._counted.get(client.upstream, carriers.Counted())
            reached = item.reached if item is not None else None
            works = item.works if item is not None else None
            state = "unknown" if reached is None or not reached.there else "standby"
            near.append(
                TransportStatus(
                    name=client.upstream,
                    end="near",
                    program=client.program,
                    state=state if works is None else "up" if works else "down",
                    server=client.servers[client.server],
                    backup=client.server != 0,
                    servers=len(client.servers),
                    why=reached.why if reached is not None else "",
                    connections=counted.open,
                    reconnects=counted.reconnects,
                    restarts=restarts[client.upstream],
                    changes=changes[client.upstream],
                    received=counted.received,
                    sent=counted.sent,
                    rtt=counted.rtt,
                    loss=counted.loss,
                    expires=reached.expires if reached is not None else None,
                    moved=self._moved({item.kind: item.port for item in client.forwardings}),
                )
            )
        return (*near, *map(self._far, self._servers()))

    def _servers(self) -> tuple[TransportServer, ...]:
        return transports_of(self._store, self._state).servers

    def _far(self, server: TransportServer) -> TransportStatus:
        return TransportStatus(
            name=server.name,
            end="far",
            program=server.program,
            state="unknown",  # its unit is the healer's; whether it serves, only its clients know
            server=f"port {server.port.port}",
            expires=self._expires.get(server.certificate),
            moved=self._moved({"server": server.port}),
        )

    def _moved(self, ports: Mapping[str, PortRange]) -> tuple[str, ...]:
        """Return the ports that are not the first of their range because of somebody else; others of ours may be."""
        ours = set(self._store.kept.ports.read().values())
        return tuple(
            f"{name} {item.port}"
            for name, item in ports.items()
            if any(passed not in ours for passed in range(item.low, item.port))
        )


def _addresses(url: str) -> frozenset[str]:
    host, port = reach.host_and_port(url)
    found = repair.look_up(at_port(host, port))
    return frozenset(entry.rpartition(":")[0].strip("[]") for entry in found)


def _expires(system: System, path: str) -> Optional[float]:
    try:
        return certificates.read(system, path).until
    except FAILURES:
        return None
