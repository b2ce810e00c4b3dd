# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts another mode into force while the operator's own moves no data, and returns to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Optional

from ... import audit
from ...modes import PROXY, in_force
from ...present import present
from ...reconcile.base import CHANGE, Change
from ...state import State
from ...store import Store
from ..differing import bring
from ..figures.transports import ModeStatus
from ..for_ever import for_ever
from ..healing.loop import Worker
from ..upstreams.health import DOWN, UP
from ..upstreams.tunnels import Tunnels
from . import fall
from .serving import Serving

LOOK = 1.0  # seconds between looks
PATIENCE = 2.0  # seconds for a step of a run to end
_SECTIONS = ("proxies", "web")

log = logging.getLogger("splitway")


class Falling:
    """Which mode is in force."""

    def __init__(self, store: Store, tunnels: Tunnels, serving: Serving, worker: Worker[Any]) -> None:
        self._store, self._tunnels, self._serving, self._worker = store, tunnels, serving, worker
        self._modes: Sequence[str] = ()
        self._seen = fall.Seen()
        self.changes = 0  # since the start

    def configure(self, state: State) -> None:
        """Go by another generation from now on."""
        modes = modes_of(state)
        if modes != self._modes:
            self._modes, self._seen = modes, fall.Seen()

    def status(self) -> ModeStatus:
        """Return which mode is in force."""
        if not self._modes:
            return ModeStatus()
        return ModeStatus(in_force(self._modes, self._store.kept.fallen_to()), self._modes[0], self.changes)

    async def run(self) -> None:
        """Look for ever."""

        async def look() -> None:
            if len(self._modes) >= 2:
                await self._look()

        await asyncio.sleep(LOOK)
        await for_ever(LOOK, look, "cannot put another mode into force")

    async def _look(self) -> None:
        now, modes = time.monotonic(), self._modes
        works = {mode: self._works(mode) for mode in modes}
        self._seen = fall.look(self._seen, works, now)
        used = in_force(modes, self._store.kept.fallen_to())
        chosen = fall.choose(modes, used, self._seen, self._serving.exhausted(), now)
        if chosen == used:
            return
        why = f"{chosen} works again" if chosen == modes[0] else f"{used} moves no data, {chosen} does"
        await self._worker(put_into_force, self._store, used, chosen, modes[0], why)
        if self._modes == modes:  # else another generation came meanwhile
            self._seen = fall.changed(self._seen, modes, used, chosen, now)
        self.changes += 1
        log.warning("mode %s, was %s: %s", chosen, used, why)

    def _works(self, mode: str) -> Optional[bool]:
        if mode == PROXY:
            return self._serving.far_proxies()
        states = [health.state for health in self._tunnels.health.values()]
        if UP in states:
            return True
        return False if states and all(state == DOWN for state in states) else None


def modes_of(state: State) -> tuple[str, ...]:
    """Return the operator's mode, and those that the agent may fall back to."""
    return state.agent.modes if state.agent is not None else ()


def put_into_force(store: Store, before: str, after: str, operators: str, why: str) -> None:
    """Have every run go by a mode from now on, and bring that to the host. `operators`: the operator's own mode.

    Raises Held, and nothing was done, when somebody else has the gateway for longer than PATIENCE, and whatever a
    reconciler raises.
    """
    with store.lock(PATIENCE):
        state = store.staged(_SECTIONS)
        old = present(store, state)
        store.kept.fall_to(None if after == operators else after)
        failures: list[Exception] = []
        changes = bring(store, _SECTIONS, state, old, present(store, state), failures)
    reason = audit.Reason("agent", f"mode: {why}")
    told = {"proxies": (Change(CHANGE, "mode in force", before, after), *changes.pop("proxies", ())), **changes}
    for section, these in told.items():
        audit.record(store.system, audit.Entry(reason, section, these, states=(state,)), store.system.now())
    if failures:
        raise failures[0]
