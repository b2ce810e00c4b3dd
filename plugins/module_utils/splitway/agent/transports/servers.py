# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried for a WebSocket that carries nothing: its program anew, three times, then its next server. Pure.

Times are the caller's (time.monotonic(), seconds). A backup is left for the first server once that has been reachable
for a while (returns.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Optional

from . import returns
from .returns import Returns

RESTART, NEXT = "restart", "next server"
"""The steps."""

TRIES = 3
FIRST_PAUSE = 3.0  # seconds after a try; each pause is twice the one before
SETTLE = 15.0  # seconds that another server has: three rounds of probes, and a handshake of WireGuard's before them
REST = 60.0  # seconds between servers once each has had its tries


@dataclass(frozen=True)
class Trouble:
    """What was tried since a WebSocket ceased to carry anything; forgotten when it does again."""

    next: float  # when the next step is due
    tries: int = 0  # of the server in use
    given_up: int = 0  # servers, one after the other

    def exhausted(self, servers: int) -> bool:
        """Return whether each of so many servers has had its tries."""
        return self.given_up >= servers


def step(trouble: Trouble, servers: int, now: float) -> tuple[Optional[str], Trouble]:
    """Return the step that is due, if one is, and the trouble after it."""
    if now < trouble.next:
        return None, trouble
    if trouble.tries < TRIES:
        pause = FIRST_PAUSE * 2.0**trouble.tries
        return RESTART, replace(trouble, next=now + pause, tries=trouble.tries + 1)
    given_up = trouble.given_up + 1
    pause = REST if given_up >= servers else SETTLE
    after = Trouble(now + pause, 0, given_up)
    return (NEXT if servers > 1 else None), after


@dataclass(frozen=True)
class Backup:
    """What is remembered of the first server while another one is in use, and after a return to it."""

    reachable: Optional[float] = None  # since when it is
    returns: Returns = field(default_factory=Returns)


def looked(backup: Backup, reachable: bool, now: float) -> Backup:
    """Return what is remembered after a look at the first server."""
    if not reachable:
        return replace(backup, reachable=None)
    return backup if backup.reachable is not None else replace(backup, reachable=now)


def may_return(backup: Backup, now: float) -> bool:
    """Return whether the first server is used again."""
    return backup.reachable is not None and now - backup.reachable >= backup.returns.hold


def came_back(backup: Backup, now: float) -> Backup:
    """Return what is remembered when the first server is in use again."""
    return Backup(returns=returns.came_back(backup.returns, now))


def left(backup: Backup, now: float) -> Backup:
    """Return what is remembered when the first server is left for another."""
    return Backup(returns=returns.left(backup.returns, now))
