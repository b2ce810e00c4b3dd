# SPDX-License-Identifier: GPL-3.0-or-later
"""Days and hours by the wall's clock of a time zone: an independent clock, midnight, and the jumps of summer time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.schedules import DAY, Schedule, Span, active, words

WEEKDAYS = (0, 1, 2, 3, 4)


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-11-23T08:59:59", False),  # a Monday
        ("2026-11-23T09:00:00", True),
        ("2026-11-23T16:59:59", True),
        ("2026-11-23T17:00:00", False),
        ("2026-11-22T12:00:00", False),  # a Sunday
    ],
)
def test_office_hours(when: str, expected: bool) -> None:
    office = Schedule(WEEKDAYS, (Span(9 * 60, 17 * 60),), "Asia/Tokyo")
    assert active(office, at(when, "Asia/Tokyo")) is expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-11-27T21:59", False),  # a Friday
        ("2026-11-27T22:00", True),
        ("2026-11-28T05:59", True),  # still Friday's night
        ("2026-11-28T06:00", False),
        ("2026-11-28T23:00", False),  # Saturday has none of its own
        ("2026-11-27T05:00", False),  # Thursday's would have been
    ],
)
def test_hours_past_midnight_belong_to_the_day_on_which_they_begin(when: str, expected: bool) -> None:
    assert active(Schedule((4,), (Span(22 * 60, 30 * 60),)), at(when)) is expected


def test_an_hour_that_does_not_come_begins_when_the_clock_has_jumped() -> None:
    night = Schedule(hours=(Span(2 * 60 + 30, 4 * 60),), zone="Europe/Berlin")
    jump = at("2026-03-29T01:00")  # UTC: 02:00 becomes 03:00
    assert not active(night, jump - 1)
    assert active(night, jump)
    assert active(night, jump + 3599)
    assert not active(night, jump + 3600)


def test_an_hour_that_comes_twice_is_meant_twice() -> None:
    night = Schedule(hours=(Span(2 * 60, 3 * 60),), zone="Europe/Berlin")
    back = at("2026-10-25T01:00")  # UTC: 03:00 becomes 02:00
    assert [active(night, back + seconds) for seconds in (-3601, -3600, -1, 0, 3599, 3600)] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]


moments = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(timezone.utc))


@given(
    moments,
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, DAY - 1),
    st.integers(1, DAY),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Chatham"]),
)
def test_minute_by_minute_on_the_wall(moment: datetime, days: set[int], start: int, length: int, zone: str) -> None:
    """Each minute of a span is named by day and clock, and looked up."""
    named = {((day + (start + minute) // DAY) % 7, (start + minute) % DAY) for day in days for minute in range(length)}
    wall = moment.astimezone(ZoneInfo(zone))
    schedule = Schedule(tuple(sorted(days)), (Span(start, start + length),), zone)
    assert active(schedule, moment.timestamp()) is ((wall.weekday(), wall.hour * 60 + wall.minute) in named)


def test_in_words() -> None:
    assert words(Schedule(WEEKDAYS[:2], (Span(540, 1050), Span(1320, 1800)), "Europe/Berlin")) == (
        "mon, tue 09:00-17:30, 22:00-06:00 Europe/Berlin"
    )
    assert words(Schedule()) == "00:00-24:00 UTC"


def test_a_year_has_as_many_hours_in_force_as_the_wall_shows() -> None:
    night = Schedule((6,), (Span(60, 4 * 60),), "Europe/Berlin")  # Sundays, when the clock jumps
    first = datetime(2026, 1, 1, tzinfo=timezone.utc)
    minutes = (first + timedelta(minutes=minute) for minute in range(0, 365 * DAY, 10))
    assert sum(active(night, minute.timestamp()) for minute in minutes) == 52 * 18 - 6 + 6  # one short, one long
