# SPDX-License-Identifier: GPL-3.0-or-later
"""The access log: which client asked for which name, and the way it goes. Off unless the operator wants it.

One file a day in the log folder, JSON lines, deleted when the operator's days are over. What is said of a client's
habits stays on the gateway.
"""

from __future__ import annotations

import json
import re
import time
from datetime import date, datetime, timedelta, timezone

from ...system import System

MOST = 10_000  # entries between two writings

_FILE = re.compile(r"access-(\d{4}-\d\d-\d\d)\.jsonl")


class AccessLog:
    """Gathers entries; `flush` writes them, every few seconds."""

    def __init__(self, system: System, days: int) -> None:
        """`days`: how many days an entry is kept, the one on which it was made not counted."""
        self._system, self._days = system, days
        self._waiting: dict[tuple[str, str, str], float] = {}
        self._cleaned = ""
        self.dropped = 0  # entries that came faster than they could be written; whoever reads it sets it to 0

    def note(self, client: str, name: str, egress: str, now: float) -> None:
        """Keep an entry; `now` in seconds since the epoch. Both record types of one question are one entry."""
        if len(self._waiting) < MOST:
            self._waiting.setdefault((client, name, egress), now)
        else:
            self.dropped += 1

    def flush(self, now: float) -> None:
        """Write what was noted, and delete what is too old. Raises OSError, SystemFailure."""
        days: dict[str, list[str]] = {}
        for (client, name, egress), when in self._waiting.items():
            at = datetime.fromtimestamp(when, timezone.utc).isoformat(timespec="seconds")
            entry = {"time": at, "client": client, "name": name, "egress": egress}
            days.setdefault(_day(when), []).append(json.dumps(entry, ensure_ascii=False))
        self._waiting.clear()
        for day, lines in days.items():
            self._system.append_line(self._system.log / f"access-{day}.jsonl", "\n".join(lines))
        if self._cleaned != _day(now):
            clean(self._system, self._days, now)
            self._cleaned = _day(now)


def clean(system: System, days: int, now: float) -> None:
    """Delete the files of days that are over by more than `days`; with a negative number all of them."""
    oldest = date.fromisoformat(_day(now)) - timedelta(days=days)
    for name in system.list_files(system.log):
        match = _FILE.fullmatch(name)
        if match and date.fromisoformat(match[1]) < oldest:
            system.remove_file(system.log / name)


def _day(now: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(now))
