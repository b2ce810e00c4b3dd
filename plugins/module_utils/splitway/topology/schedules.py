# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_schedules`, `splitway_time_zone` and the `schedule` of a rule: days and hours in a time zone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Optional
from zoneinfo import ZoneInfo, available_timezones

from ..schedules import DAY, EVERY_DAY, Schedule, Span
from .errors import Report, TopologyError, shown, suggestion
from .plain import BROKEN, key_path
from .reading import Fields, Parse, as_mapping, good, parse_value
from .scalars import list_name, text

KEYS = ("days", "hours", "time_zone")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORTEST = 3  # letters of a day's name
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def read_time_zone(report: Report, value: Any) -> str:
    """Return the time zone of schedules that name none."""
    found = None if value is None else parse_value(report, "splitway_time_zone", value, time_zone)
    return found or Schedule.zone


def read_schedules(report: Report, entries: Any, zone: str) -> dict[str, Schedule]:
    """Return the named schedules."""
    found = {}
    for key, value in as_mapping(report, "splitway_schedules", entries).items():
        path = key_path("splitway_schedules", key)
        name = parse_value(report, path, key, list_name)
        if name is not None and value is not BROKEN:
            schedule = read_schedule(report, path, value, zone)
            found[name] = schedule or Schedule()
    return found


def rule_schedule(fields: Fields, known: Mapping[str, Schedule], zone: str) -> Optional[Schedule]:
    """Return a rule's schedule: a mapping, or one of `splitway_schedules` by its name; None if absent or wrong."""
    value, path = fields.values.get("schedule"), f"{fields.path}.schedule"
    if value is None or value is BROKEN:
        return None
    if isinstance(value, dict):
        return read_schedule(fields.report, path, value, zone)
    if not isinstance(value, str) or value not in known:
        problem = f"{shown(value)} is not a schedule: days and hours, or a name of splitway_schedules"
        fields.report.add(path, problem + suggestion(value, frozenset(known)))
        return None
    return known[value]


def read_schedule(report: Report, path: str, value: Any, zone: str) -> Optional[Schedule]:
    """Return a schedule; None after its problems have been reported."""
    fields = Fields(report, path, value, KEYS)
    before = len(report.errors)
    if (value is None or isinstance(value, dict)) and not (fields.given("days") or fields.given("hours")):
        report.add(path, "has neither days nor hours")
    groups = _several(fields, "days", _days)
    hours = _several(fields, "hours", _hours)
    where = fields.get_or("time_zone", time_zone, zone)
    if len(report.errors) > before:
        return None
    days = tuple(sorted({day for group in groups for day in group})) or EVERY_DAY
    spans = tuple(sorted(hours, key=lambda span: (span.start, span.end))) or Schedule.hours
    return Schedule(days, spans, where)


def _several(fields: Fields, key: str, parse: Parse[Any]) -> tuple[Any, ...]:
    """Return the parsed parts of a list, of a text in which commas divide them, or of another value the one."""
    value = fields.values.get(key)
    if isinstance(value, str):
        parts = (part.strip() for part in value.split(","))
        return good([parse_value(fields.report, f"{fields.path}.{key}", part, parse) for part in parts])
    if isinstance(value, list):
        return good(fields.require_entries(key, parse))
    return good([fields.get(key, parse)])


def _days(value: Any) -> tuple[int, ...]:
    """Return the days of `mon`, `monday` or `fri-mon`."""
    word = text(value, "a day of the week")
    first, dash, last = (part.strip() for part in word.lower().partition("-"))
    begin, end = _day(first, word), _day(last if dash else first, word)
    return tuple((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def _day(word: str, written: str) -> int:
    for number, name in enumerate(_DAYS):
        if len(word) >= _SHORTEST and name.startswith(word):
            return number
    raise TopologyError(f"{shown(written)} is not a day of the week (mon, tue, … or mon-fri)")


def _hours(value: Any) -> Span:
    """Return the hours of `09:00-17:30`; when they end before they begin, they end on the next day."""
    word = text(value, "hours, like 09:00-17:30")
    first, dash, last = (part.strip() for part in word.partition("-"))
    if not dash:
        raise TopologyError(f"{shown(word)} is not hours, like 09:00-17:30")
    start, end = _clock(first, word), _clock(last, word)
    if start in (end, DAY):
        raise TopologyError(f"{shown(word)} is no time at all; the whole day is 00:00-24:00")
    return Span(start, end if end > start else end + DAY)


def _clock(word: str, written: str) -> int:
    found = _CLOCK.fullmatch(word)
    minutes = int(found[1]) * 60 + int(found[2]) if found else DAY + 1
    if found is None or int(found[2]) > 59 or minutes > DAY:
        raise TopologyError(f"{shown(written)}: {shown(word)} is no time of a day (00:00-24:00)")
    return minutes


def time_zone(value: Any) -> str:
    """Return a time zone of the IANA database, which the controller must know."""
    name = text(value, "a time zone")
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # zoneinfo's own error is a KeyError; "Europe" is a folder
        near = tuple(sorted(zone for zone in available_timezones() if zone[:1] == name[:1].upper()))
        raise TopologyError(f"{shown(name)} is not a time zone, like Europe/Berlin{suggestion(name, near)}") from None
    return name
