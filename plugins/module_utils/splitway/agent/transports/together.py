# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the agent that look after WebSockets and modes, as one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from ...state import State
from ...store import Store
from ..figures.transports import Carriage
from ..healing.loop import Healer, Worker
from ..upstreams.tunnels import Tunnels
from .carrying import Carrying
from .counting import Counting
from .falling import Falling
from .serving import Serving


class Together:
    """Ways, servers, modes, and what is counted of them."""

    def __init__(self, store: Store, healer: Healer, tunnels: Tunnels, worker: Worker[Any]) -> None:
        self._store = store
        self._carrying = Carrying(store, healer, tunnels, worker)
        self._serving = Serving(store, tunnels, worker)
        self._falling = Falling(store, tunnels, self._serving, worker)
        self._counting = Counting(store, self._serving, worker)

    def configure(self, state: State) -> None:
        """Go by another generation from now on."""
        for part in (self._carrying, self._serving, self._falling, self._counting):
            part.configure(state)

    def runs(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return what is to run for ever."""
        return tuple(part.run() for part in (self._carrying, self._serving, self._falling, self._counting))

    def figures(self) -> Carriage:
        """Return what is known now."""
        return Carriage(
            carried=self._store.kept.carried.read(),
            way_changes=dict(self._carrying.changes),
            transports=self._counting.status(),
            mode=self._falling.status(),
        )
