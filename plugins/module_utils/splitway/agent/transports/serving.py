# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks after the near ends of WebSockets: whether each carries anything, and what is tried while it does not."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Optional

from ...failures import FAILURES
from ...present import transports_of
from ...reconcile.transports.processes import processes
from ...state import WIREGUARD, State, TransportClient, Transports
from ...store import Held, Store
from ...transports import UDP, WEBSOCKET, Carried
from ..healing.loop import Worker
from ..names.whom import own_mark
from ..upstreams.health import DOWN, UP
from ..upstreams.tunnels import Tunnels
from . import reach, servers
from .adopt import adopt
from .looks import Look, look_by_itself

LOOK = 1.0  # seconds between looks for what is due
CHECK = 10.0  # seconds between questions to proxies behind a forward, and between looks at a server that may be away
AGAIN = 2.0  # seconds until a question that nobody answered is asked again
STRIKES = 3  # questions without an answer, one after the other, after which a forward carries nothing
CERTIFICATE = 3600.0  # seconds between looks at the certificate of the server in use

log = logging.getLogger("splitway")


@dataclass(frozen=True)
class Forward:
    """What is known of a forward to a proxy."""

    next: float = 0.0  # when it is asked next
    strikes: int = 0
    answered: bool = False  # at any time

    @property
    def moves(self) -> Optional[bool]:
        """Return whether it moves data; None while that is not known."""
        if self.strikes >= STRIKES:
            return False
        return True if self.answered else None


@dataclass(frozen=True)
class Known:
    """What is known of one WebSocket."""

    works: Optional[bool] = None  # None: not known, or not in use
    trouble: Optional[servers.Trouble] = None
    backup: servers.Backup = field(default_factory=servers.Backup)
    looked: float = float("-inf")  # when the server in use was looked at
    reached: Optional[reach.Reached] = None  # what that found
    first: float = float("-inf")  # when the first server was looked at, while another one is in use


class Serving:
    """The WebSockets of the upstreams."""

    def __init__(self, store: Store, tunnels: Tunnels, worker: Worker[Any]) -> None:
        self._store, self._tunnels, self._worker = store, tunnels, worker
        self._state = State()
        self._known: dict[str, Known] = {}  # by upstream
        self._forwards: dict[tuple[str, str], Forward] = {}  # by upstream and kind
        self.restarts: Counter[str] = Counter()  # upstream → restarts of its WebSocket's programs since the start
        self.changes: Counter[str] = Counter()  # upstream → changes of its server since the start

    def configure(self, state: State) -> None:
        """Go by another generation from now on."""
        self._state = state
        there = {client.upstream: client for client in self.clients()}
        self._known = {name: self._known.get(name, Known()) for name in there}
        kinds = {(name, item.kind) for name, client in there.items() for item in client.forwardings}
        self._forwards = {key: self._forwards.get(key, Forward()) for key in sorted(kinds) if key[1] != WIREGUARD}

    def clients(self) -> tuple[TransportClient, ...]:
        """Return the near ends as they are now."""
        if self._state.transports is None or not self._state.transports.clients:
            return ()
        return transports_of(self._store, self._state).clients

    @property
    def known(self) -> Mapping[str, Known]:
        """What is known, by upstream."""
        return dict(self._known)

    def far_proxies(self) -> Optional[bool]:
        """Return whether a proxy at an exit answers; None while that is not known, or there is none."""
        found = [forward.moves for forward in self._forwards.values()]
        return True if True in found else None if None in found or not found else False

    def exhausted(self) -> bool:
        """Return whether no WebSocket that carries nothing has anything left to try."""
        servers_of = {client.upstream: len(client.servers) for client in self.clients()}
        return all(
            known.trouble is not None and known.trouble.exhausted(servers_of.get(name, 1))
            for name, known in self._known.items()
            if known.works is False
        )

    async def run(self) -> None:
        """Look after each WebSocket by itself, for ever."""
        await look_by_itself(LOOK, self._due)

    def _due(self) -> dict[str, Look]:
        return {
            client.upstream: partial(self._look, client) for client in self.clients() if client.upstream in self._known
        }

    async def _look(self, client: TransportClient) -> None:
        name = client.upstream
        await self._ask_proxies(client)
        works = self._works(client)
        known = self._changed(name, works=works)
        now = time.monotonic()
        try:
            if works is False:
                trouble = known.trouble or servers.Trouble(now)
                step, trouble = servers.step(trouble, len(client.servers), now)
                self._changed(name, trouble=trouble)
                if step is not None:
                    await self._try(client, step)
                else:
                    await self._look_at_server(client)
                return
            if works:
                self._changed(name, trouble=None)
            await self._look_at_server(client)
            await self._look_at_first(client, self._of(name), now)
        except Held:
            pass  # at the next look
        except FAILURES as error:
            log.warning("upstream %s: its WebSocket: %s", name, error)

    def _of(self, name: str) -> Known:
        # Another generation may have come meanwhile, without this one.
        return self._known.get(name, Known())

    def _changed(self, name: str, **changes: Any) -> Known:
        made = replace(self._of(name), **changes)
        if name in self._known:
            self._known[name] = made
        return made

    def _works(self, client: TransportClient) -> Optional[bool]:
        """Return whether a WebSocket carries data: that of a proxy at the exit, or of the tunnel."""
        found = [forward.moves for (name, _), forward in self._forwards.items() if name == client.upstream]
        if True in found:
            return True  # if the tunnel is down, it is not for the WebSocket
        device = next((entry for entry in self._state.upstreams if entry.name == client.upstream), None)
        health = self._tunnels.health.get(client.upstream)
        if device is None or device.websocket is None or health is None:
            return None if None in found or not found else False
        if health.state == DOWN:
            return False
        carried = self._store.kept.carried.read().get(client.upstream, Carried(UDP))
        in_use = WEBSOCKET in (device.transport, carried.way)
        return True if in_use and health.state == UP else None

    async def _ask_proxies(self, client: TransportClient) -> None:
        for item in client.forwardings:
            key, now = (client.upstream, item.kind), time.monotonic()
            forward = self._forwards.get(key)
            if forward is None or now < forward.next:
                continue
            moved = await reach.moves(item.port.port)
            strikes = 0 if moved else min(forward.strikes + 1, STRIKES)
            after = Forward(time.monotonic() + (CHECK if moved else AGAIN), strikes, forward.answered or moved)
            if after.moves is not forward.moves:
                words = "answers" if after.moves else "does not answer"
                log.warning("upstream %s: the exit's %s proxy %s", client.upstream, item.kind, words)
            if key in self._forwards:
                self._forwards[key] = after

    async def _try(self, client: TransportClient, step: str) -> None:
        name = client.upstream
        if step == servers.RESTART:
            await self._worker(_restart, self._store, client)
            self.restarts[name] += 1
            log.warning("upstream %s: its WebSocket carries nothing: started again", name)
            return
        after = (client.server + 1) % len(client.servers)
        if client.server == 0:
            self._changed(name, backup=servers.left(self._of(name).backup, time.monotonic()))
        await self._use(client, after, "its WebSocket carries nothing")

    async def _use(self, client: TransportClient, server: int, why: str) -> None:
        name = client.upstream
        url = client.servers[server]
        if not await self._worker(adopt, self._store, name, f"server {url}: {why}", None, server):
            return
        self.changes[name] += 1
        self._changed(name, looked=float("-inf"), reached=None)
        log.warning("upstream %s: its WebSocket goes to %s: %s", name, url, why)

    async def _look_at_server(self, client: TransportClient) -> None:
        """Look at the server in use: for its certificate, and for what is wrong while nothing is carried."""
        name = client.upstream
        known = self._of(name)
        doubted = known.trouble is not None or (known.reached is not None and not known.reached.there)
        if time.monotonic() - known.looked < (CHECK if doubted else CERTIFICATE):
            return
        reached = await reach.server(client, client.server, own_mark(self._state) or None)
        self._changed(name, looked=time.monotonic(), reached=reached)
        if not reached.there and (known.reached is None or known.reached.why != reached.why):
            log.warning("upstream %s: %s: %s", name, client.servers[client.server], reached.why)

    async def _look_at_first(self, client: TransportClient, known: Known, now: float) -> None:
        name = client.upstream
        if client.server != 0 and now - known.first >= CHECK:
            reached = await reach.server(client, 0, own_mark(self._state) or None)
            now = time.monotonic()
            backup = servers.looked(known.backup, reached.there, now)
            self._changed(name, first=now, backup=backup)
            if servers.may_return(backup, now):
                await self._use(client, 0, "it has been reachable for a while")
                self._changed(name, backup=servers.came_back(backup, now))


def units(client: TransportClient) -> tuple[str, ...]:
    """Return the units of a WebSocket's near end."""
    return tuple(process.unit for process in processes(Transports(clients=(client,)), Path))


def _restart(store: Store, client: TransportClient) -> None:
    """Start the programs of a WebSocket anew; nothing while a run of site.yml has the gateway. Raises Held."""
    with store.lock(patience=0):
        if store.transaction() is None:
            for unit in units(client):
                store.system.units.restart(unit)
