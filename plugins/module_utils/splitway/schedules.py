# SPDX-License-Identifier: GPL-3.0-or-later
"""When a rule is in force: days of the week and hours by the clock on the wall of a time zone.

The wall's clock is asked, not a count of seconds: when it jumps from 02:00 to 03:00, hours that begin at 02:30 begin at
03:00, and an hour that comes twice is meant both times.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

DAY = 1440  # minutes
EVERY_DAY = tuple(range(7))
_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Span:
    """Hours of a day, in minutes from its midnight; `end` is the first minute after them, next day's above DAY."""

    start: int
    end: int


@dataclass(frozen=True)
class Schedule:
    """Days and hours. Hours past midnight belong to the day on which they begin."""

    days: tuple[int, ...] = EVERY_DAY  # 0: Monday
    hours: tuple[Span, ...] = (Span(0, DAY),)
    zone: str = "UTC"  # of the IANA time zone database


def active(schedule: Schedule, now: float) -> bool:
    """Return whether a schedule is in force at a time, in seconds since the epoch.

    Raises KeyError, ValueError or OSError, as zoneinfo does, for a time zone that this host does not know.
    """
    there = datetime.fromtimestamp(now, timezone.utc).astimezone(ZoneInfo(schedule.zone))
    minute, today = there.hour * 60 + there.minute, there.weekday()
    return any(
        (today in schedule.days and span.start <= minute < span.end)
        or ((today - 1) % 7 in schedule.days and minute + DAY < span.end)
        for span in schedule.hours
    )


def words(schedule: Schedule) -> str:
    """Return a schedule in words: `mon, tue 09:00-17:30 Europe/Berlin`."""
    days = "" if schedule.days == EVERY_DAY else ", ".join(_NAMES[day] for day in schedule.days) + " "
    hours = ", ".join(f"{_clock(span.start)}-{_clock(span.end)}" for span in schedule.hours)
    return f"{days}{hours} {schedule.zone}"


def _clock(minute: int) -> str:
    minute = minute if minute <= DAY else minute - DAY
    return f"{minute // 60:02}:{minute % 60:02}"
