# SPDX-License-Identifier: GPL-3.0-or-later
"""The published generation, held in memory and read again when its file is another."""

from __future__ import annotations

import logging
from typing import Optional

from ..state import State
from ..store import Store

log = logging.getLogger("splitway")


class Generation:
    """What the gateway must be, as site.yml left it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._file: Optional[tuple[int, ...]] = None
        self.state = State()
        self.problem: Optional[str] = None  # the file is damaged: the generation before it is used
        self.refresh()

    @property
    def current(self) -> bool:
        """Return whether the state is that of the file still."""
        return self._store.stamp() == self._file

    def refresh(self) -> bool:
        """Read the generation again if its file changed; return whether it did."""
        now = self._store.stamp()
        if now == self._file:
            return False
        self._file = now
        self.state, problem = self._store.generation_or_previous()
        if problem and problem != self.problem:
            log.error("%s", problem)
        self.problem = problem
        return True
