# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the tunnels that may take either way on the one that works: over to the WebSocket at once, back with care."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from functools import partial
from typing import Any, Optional

from ...failures import FAILURES
from ...mtus import endpoint_of
from ...present import tunnels_of
from ...state import Device, State, Watch
from ...store import Held, Store
from ...transports import AUTO, UDP, WEBSOCKET, way_of, websocket_of
from ..healing.loop import Healer, Worker
from ..upstreams import path, repair
from ..upstreams.health import UP
from ..upstreams.tunnels import Tunnels
from . import trial, ways
from .adopt import adopt
from .looks import Look, look_by_itself

LOOK = 0.5  # seconds between looks for what is due
JUST_NOW = 30.0  # seconds after a return to UDP in which the tunnel is looked at itself

log = logging.getLogger("splitway")


class Carrying:
    """The ways of the upstreams whose transport is `auto`."""

    def __init__(self, store: Store, healer: Healer, tunnels: Tunnels, worker: Worker[Any]) -> None:
        self._store, self._healer, self._tunnels, self._worker = store, healer, tunnels, worker
        self._state = State()
        self._pasts: dict[str, ways.Past] = {}
        self._new: set[str] = set()  # upstreams that were not up since they came
        self._ends: dict[str, str] = {}  # upstream → where its exit was last found, by UDP
        self.changes: Counter[str] = Counter()  # upstream → changes of its way since the start

    def configure(self, state: State) -> None:
        """Go by another generation from now on."""
        self._state = state
        there = {device.name for device in state.upstreams if device.transport == AUTO}
        now = time.monotonic()
        self._new = (self._new | (there - self._pasts.keys())) & there
        self._pasts = {name: self._pasts.get(name, ways.starting(now)) for name in there}

    async def run(self) -> None:
        """Look after each tunnel by itself, for ever."""
        await look_by_itself(LOOK, self._due)

    def _due(self) -> dict[str, Look]:
        watches = {watch.upstream: watch for watch in (self._state.agent.watches if self._state.agent else ())}
        return {
            device.name: partial(self._look, device, watches[device.name])
            for device in self._state.upstreams
            if device.name in self._pasts and device.name in watches
        }

    async def _look(self, device: Device, watch: Watch) -> None:
        try:
            tunnel = self._tunnel(device, watch)
            if tunnel is None:
                return
            if way_of(device.name, device.transport, self._store.kept.carried.read()) == UDP:
                await self._by_udp(device, tunnel)
            else:
                await self._over_websocket(device, tunnel)
        except Held:
            pass  # at the next look
        except FAILURES as error:
            log.warning("upstream %s: its transport: %s", device.name, error)

    def _past(self, device: Device) -> ways.Past:
        return self._pasts.get(device.name, ways.Past())

    def _remember(self, device: Device, past: ways.Past) -> None:
        if device.name in self._pasts:  # another generation may have come meanwhile, without it
            self._pasts[device.name] = past

    def _tunnel(self, device: Device, watch: Watch) -> Optional[trial.Tunnel]:
        key = next((peer.public_key for peer in device.peers if peer.public_key and peer.endpoint), None)
        here = next((entry for entry in tunnels_of(self._store, self._state) if entry.name == device.name), device)
        near = websocket_of(here)
        return trial.Tunnel(watch, key, near) if key is not None and near else None

    async def _by_udp(self, device: Device, tunnel: trial.Tunnel) -> None:
        health = self._tunnels.health.get(device.name)
        past = self._past(device)
        if health is None:
            return
        self._remember(device, ways.after_round(past, health))
        if ways.tries_websocket(past, health):
            log.debug("upstream %s: trying its WebSocket: %s", device.name, health.why)
            if await trial.over_websocket(self._worker, self._store, tunnel, ways.patience(health)):
                await self._go_over(device, WEBSOCKET, tunnel.websocket, health.why)
        elif health.bad or not await self._astray(device.name, tunnel, past):
            pass
        elif device.name in self._new:
            # A run has changed its transport, and what comes over the WebSocket keeps it there.
            await self._go_over(device, WEBSOCKET, tunnel.websocket, "it is there already")
            self._remember(device, ways.soon(self._past(device), time.monotonic()))
        else:
            # What was on its way over the WebSocket when the tunnel came back took it along.
            where = await self._udp_end(device)
            if where:
                await self._worker(trial.hold, self._store, tunnel, where)
        if health.state == UP:
            self._new.discard(device.name)

    async def _astray(self, name: str, tunnel: trial.Tunnel, past: ways.Past) -> bool:
        """Return whether WireGuard is on the WebSocket again, though by UDP is its way."""
        if name in self._new or (past.returned is not None and time.monotonic() - past.returned < JUST_NOW):
            return bool(await self._worker(trial.endpoint, self._store, tunnel) == tunnel.websocket)
        peer = self._healer.readings.first(tunnel.watch.interface)
        return peer is not None and peer.endpoint == tunnel.websocket

    async def _over_websocket(self, device: Device, tunnel: trial.Tunnel) -> None:
        past, now = self._past(device), time.monotonic()
        if device.name in self._ends:
            past = ways.at_address(past, path.source(self._ends[device.name], device.mark), now)
            self._remember(device, past)
        if now < past.next:
            return
        log.debug("upstream %s: trying UDP", device.name)
        where = await self._udp_end(device)
        if where and await trial.by_udp(self._worker, self._store, tunnel, where):
            await self._go_over(device, UDP, where, "the exit answers by UDP")
        else:
            self._remember(device, ways.stayed(past, time.monotonic()))

    async def _udp_end(self, device: Device) -> str:
        """Return where the exit is by UDP, "address:port"; "" when its name has no address now."""
        endpoint = endpoint_of(device)
        found = await asyncio.to_thread(repair.look_up, endpoint)
        if found and self._ends.get(device.name) not in found:
            self._ends[device.name] = found[0]
        return self._ends[device.name] if found else ""

    async def _go_over(self, device: Device, way: str, where: str, why: str) -> None:
        try:
            done = await self._worker(adopt, self._store, device.name, why, way, None, where)
        finally:
            past, now = self._past(device), time.monotonic()
            self._remember(device, ways.left(past, now) if way == WEBSOCKET else ways.came_back(past, now))
        if not done:
            return
        self.changes[device.name] += 1
        words = "its WebSocket" if way == WEBSOCKET else "UDP"
        log.warning("upstream %s: by %s from now on: %s", device.name, words, why)
