# SPDX-License-Identifier: GPL-3.0-or-later
"""The published generation, held in memory and read again when its file is another."""

from __future__ import annotations

import logging
from typing import Optional

from ...state import State
from ...store import Store, StoreError

log = logging.getLogger("splitway")


class Generation:
    """What the gateway must be, as site.yml left it.

    A file that is damaged or taken away is reported and changes nothing: what was read before holds, or, for an
    agent that only starts, the generation before it. Whoever removes a gateway removes its agent as well.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._file: Optional[tuple[int, ...]] = None
        self.state = State()
        self.problem: Optional[str] = None  # what is wrong with the file
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
        try:
            state, problem = self._store.generation_or_previous()
        except StoreError as error:
            state, problem = State(), str(error)
        if state == State() and self.state != State():
            problem = problem or "the generation's file is gone, which a run of site.yml brings back"
        if problem is None or self.state == State():
            self.state = state  # what we know is at least as good as what is left
        if problem and problem != self.problem:
            log.error("%s", problem)
        self.problem = problem
        return True
