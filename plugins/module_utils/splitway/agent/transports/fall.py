# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mode is to be in force: the operator's, or the next one that works while it does not. Pure.

Times are the caller's (time.monotonic(), seconds). A mode works while one of its ways moves data; its WebSockets have
their tries and their backups before it is given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from . import returns
from .returns import Returns

GIVE_UP = 30.0  # seconds without data after which a mode whose WebSockets have nothing left to try is left
LONGEST = 180.0  # seconds after which it is left whatever they try


@dataclass(frozen=True)
class Seen:
    """What is known of the modes."""

    since: Mapping[str, tuple[bool, float]] = field(default_factory=dict)  # mode → whether it works, since when
    returns: Returns = field(default_factory=Returns)  # to an earlier mode


def look(seen: Seen, works: Mapping[str, Optional[bool]], now: float) -> Seen:
    """Return what is known after a look; None: a mode says nothing yet."""
    since = {
        mode: seen.since[mode] if mode in seen.since and seen.since[mode][0] == working else (working, now)
        for mode, working in works.items()
        if working is not None
    }
    return Seen(since, seen.returns)


def choose(modes: Sequence[str], used: str, seen: Seen, exhausted: bool, now: float) -> str:
    """Return the mode to be in force of these, in their order, where `used` is now.

    `exhausted`: no WebSocket of the mode has anything left to try.
    """
    for mode in modes[: modes.index(used)]:
        working, since = seen.since.get(mode, (False, now))
        if working and now - since >= seen.returns.hold:
            return mode
    working, since = seen.since.get(used, (True, now))
    if working or now - since < (GIVE_UP if exhausted else LONGEST):
        return used
    others = (mode for mode in modes if mode != used and seen.since.get(mode, (False, now))[0])
    return next(others, used)


def changed(seen: Seen, modes: Sequence[str], before: str, after: str, now: float) -> Seen:
    """Return what is known after another mode came into force."""
    if modes.index(after) < modes.index(before):
        return Seen(seen.since, returns.came_back(seen.returns, now))
    return Seen(seen.since, returns.left(seen.returns, now))
