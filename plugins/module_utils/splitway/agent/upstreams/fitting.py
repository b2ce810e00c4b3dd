# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps each tunnel as wide as its path: looks at the path, asks through the tunnel whether a full-size packet passes.

Tunnels whose MTU the operator wrote are asked as well, and only told of.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any, Optional

from ...failures import FAILURES
from ...mtus import Found, endpoint_of
from ...present import tunnels_of
from ...state import Device, State, Watch
from ...store import Held, Store
from ...transports import by_websocket, websocket_of
from ..healing.loop import Healer, Worker
from . import fit, path, sizes
from .health import DOWN
from .tunnels import Tunnels

LOOK = 1.0  # seconds between looks for what is due
EVERY = 60.0  # seconds between two checks of a tunnel
SOON = 5.0  # seconds after the first one that said nothing; then twice as long each time

log = logging.getLogger("splitway")


@dataclass(frozen=True)
class Checked:
    """The last check of a tunnel."""

    device: Device
    endpoint: str  # of the exit, as WireGuard has it
    next: float  # time.monotonic() of the next one
    pause: float  # seconds until then
    passes: Optional[bool] = None  # whether a full-size packet came back; None: not even a small one did


class Fitting:
    """The MTUs of the upstreams' tunnels."""

    def __init__(self, store: Store, healer: Healer, tunnels: Tunnels, worker: Worker[Any]) -> None:
        self._store, self._healer, self._tunnels, self._worker = store, healer, tunnels, worker
        self._state = State()
        self._checked: dict[str, Checked] = {}  # by upstream

    def configure(self, state: State) -> None:
        """Go by another generation from now on."""
        self._state = state
        self._checked = {
            device.name: self._checked[device.name]
            for device in tunnels_of(self._store, state)
            if device.name in self._checked and self._checked[device.name].device == device
        }

    def passes(self) -> dict[str, bool]:
        """Return by upstream whether full-size packets come back through its tunnel; only what is known."""
        return {name: item.passes for name, item in self._checked.items() if item.passes is not None}

    async def run(self) -> None:
        """Check each tunnel at start, when its exit is elsewhere, when it is up again, and every now and then."""
        while True:
            await asyncio.sleep(LOOK)
            watches = {watch.upstream: watch for watch in (self._state.agent.watches if self._state.agent else ())}
            await asyncio.gather(
                *(
                    self._check(device, watches[device.name], endpoint)
                    for device in tunnels_of(self._store, self._state)
                    for endpoint in (self._due(device),)
                    if endpoint and device.name in watches
                )
            )

    def _due(self, device: Device) -> Optional[str]:
        """Return the endpoint of a tunnel that is to be checked now."""
        health, peer = self._tunnels.health.get(device.name), self._healer.readings.first(device.interface)
        if health is None or health.state == DOWN or peer is None or peer.endpoint is None:
            self._checked.pop(device.name, None)
            return None
        if peer.endpoint == websocket_of(device) and not by_websocket(device):
            return None  # on its way back to UDP: our loopback tells nothing of that path
        last = self._checked.get(device.name)
        due = last is None or last.endpoint != peer.endpoint or time.monotonic() >= last.next
        return peer.endpoint if due else None

    async def _check(self, device: Device, watch: Watch, endpoint: str) -> None:
        try:
            passes = await self._look(device, watch, endpoint)
        except Held:
            passes = None  # somebody changes the gateway
        except FAILURES as error:
            log.warning("upstream %s: its mtu: %s", device.name, error)
            self._healer.ask(("upstreams", "marks"))
            passes = None
        last = self._checked.get(device.name)
        if passes is False and (last is None or last.passes is not False):
            log.warning("upstream %s: packets of its MTU do not come back, small ones do", device.name)
        pause = EVERY
        if passes is None:
            pause = SOON if last is None or last.passes is not None else min(EVERY, 2 * last.pause)
        self._checked[device.name] = Checked(device, endpoint, time.monotonic() + pause, pause, passes)

    async def _look(self, device: Device, watch: Watch, endpoint: str) -> Optional[bool]:
        """Return whether a full-size packet passes, once the tunnel has the MTU with which it does."""
        mtu, found = device.mtu, None
        if device.mtu_from_path:
            way = await path.look(endpoint, device.mark)
            if way is None:
                return None
            known, now = self._store.kept.mtus.read().get(device.interface), self._store.system.now()
            found = fit.begin(known, endpoint_of(device), way, now)
            await self._adopt(device, found, f"the path {way.ends} takes {way.mtu}")
            mtu = found.mtu
        addresses = tuple(dict.fromkeys(target.address for target in watch.targets))
        if mtu is None or not addresses:
            return None
        passed = await sizes.ask(device.interface, addresses, (mtu,), watch.timeout / 1000)
        if not passed.small or passed.most:
            return bool(passed.most) or None
        # Asked of one that does answer, all sizes at once.
        passed = await sizes.ask(device.interface, passed.small[:1], fit.candidates(mtu), watch.timeout / 1000)
        if not passed.most or passed.most == mtu:  # nothing large at all: that is not how it answers
            return bool(passed.most) or None
        narrower = None if found is None else fit.narrowed(found, passed, self._store.system.now())
        if narrower is None:
            return False
        await self._adopt(device, narrower, f"of {mtu} bytes nothing comes back")
        return True

    async def _adopt(self, device: Device, found: Found, why: str) -> None:
        if await self._worker(fit.adopt, self._store, device, found, why):
            log.warning("upstream %s: mtu %d: %s", device.name, found.mtu, why)
