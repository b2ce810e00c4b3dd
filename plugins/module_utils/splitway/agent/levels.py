# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the agent tells in the journal: changed while it runs, until it starts anew or the operator writes another
level."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from typing import Callable

from ..log_levels import LEVELS
from ..state import State

QUESTION = "log-level"
"""Of the control socket: asks for the level; with a level after it, sets it."""

log = logging.getLogger("splitway")


class Level:
    """The level in force."""

    def __init__(self) -> None:
        self.name = "info"
        self._written = ""  # the operator's, as far as it was taken

    def configure(self, state: State) -> None:
        """Take the operator's level where it is another than it was: what was set by hand stays over other runs."""
        written = state.agent.log_level if state.agent else "info"
        if written != self._written:
            self._written = written
            self.set(written)

    def set(self, name: str) -> None:
        """Tell from now on what is of this level or graver."""
        self.name = name
        log.setLevel(name.upper())

    def answerers(self) -> Mapping[str, Callable[[], Awaitable[str]]]:
        """Return what answers questions of the control socket, each with the level that is in force then."""

        async def ask() -> str:
            return self.name

        def setter(name: str) -> Callable[[], Awaitable[str]]:
            async def change() -> str:
                self.set(name)
                return self.name

            return change

        return {QUESTION: ask, **{f"{QUESTION} {name}": setter(name) for name in LEVELS}}
