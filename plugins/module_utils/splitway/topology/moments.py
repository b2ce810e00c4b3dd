# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments that an operator writes: a date and a time, or a day, which is meant to its end."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Callable
from zoneinfo import ZoneInfo

from .errors import TopologyError, shown
from .scalars import text

WHAT = "a moment, like 2026-12-31T18:00:00+01:00 or 2026-12-31"

# ISO 8601 as YAML, JavaScript and `date --iso-8601=seconds` write it.
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?\s?([Zz]|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)


def moment(zone: str) -> Callable[[Any], int]:
    """Return the parser of a moment, to seconds since the epoch; what names no offset is meant in this time zone.

    A day ends at its midnight there, which is not always 24 hours after it began.
    """

    def parse(value: Any) -> int:
        word = text(value, WHAT).strip()
        found = _MOMENT.fullmatch(word)
        if found is None:
            raise TopologyError(f"{shown(word)} is not {WHAT}")
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        try:
            offset = _offset(found[7]) if found[7] else ZoneInfo(zone)
            there = datetime(year, month, day, hour, minute, second, tzinfo=offset)
            if found[4] is None:
                there += timedelta(days=1)  # by the clock on the wall
            return int(there.timestamp())
        except (ValueError, OverflowError) as error:
            raise TopologyError(f"{shown(word)} is not {WHAT}: there is no such day or time") from error

    return parse


def _offset(written: str) -> tzinfo:
    if written in "Zz":
        return timezone.utc
    digits = written[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if minutes > 59:
        raise ValueError("an hour has 60 minutes")
    away = timedelta(hours=hours, minutes=minutes)
    return timezone(-away if written[0] == "-" else away)
