# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments that operators write: what Python's own calendar makes of them, days to their end, and what is none."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.topology.samples import changed, key
from splitway.topology import TopologyError, parse
from splitway.topology.model import PreviousKey
from splitway.topology.moments import moment

BERLIN = "Europe/Berlin"
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(9998, 12, 31), timezones=OFFSETS).map(
    lambda there: there.replace(microsecond=0)
)


@given(MOMENTS, st.sampled_from(["UTC", BERLIN, "America/New_York"]))
def test_an_offset_says_it_all(there: datetime, zone: str) -> None:
    spellings = (there.isoformat(), str(there), there.strftime("%Y-%m-%dT%H:%M:%S%z"))
    assert {moment(zone)(text) for text in spellings} == {int(there.timestamp())}


@given(MOMENTS)
def test_what_yaml_reads_as_a_date_is_the_same_moment(there: datetime) -> None:
    read = yaml.safe_load(f"expires: {there.isoformat()}")
    assert isinstance(read["expires"], datetime)
    assert expires(read["expires"]) == expires(there.isoformat()) == int(there.timestamp())


@given(st.dates(date(1971, 1, 1), date(9998, 12, 31)), st.sampled_from(["UTC", BERLIN, "America/Sao_Paulo"]))
def test_a_day_is_meant_to_its_end(day: date, zone: str) -> None:
    end = moment(zone)(day.isoformat())
    last, first = (datetime.fromtimestamp(second, ZoneInfo(zone)).date() for second in (end - 1, end))
    assert last == day < first


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-12-31T18:00:00Z", "2026-12-31T18:00:00+00:00"),
        ("2026-12-31T18:00:00.000Z", "2026-12-31T18:00:00+00:00"),  # as JavaScript writes it
        ("2026-12-31 18:00 +01:00", "2026-12-31T17:00:00+00:00"),
        ("2026-12-31T18:00", "2026-12-31T17:00:00+00:00"),  # in splitway_time_zone
        ("2026-07-01T18:00:30+02", "2026-07-01T16:00:30+00:00"),
        ("2026-03-29", "2026-03-29T22:00:00+00:00"),  # a day of 23 hours
        ("2026-10-25", "2026-10-25T23:00:00+00:00"),  # and one of 25
        (date(2026, 12, 31), "2026-12-31T23:00:00+00:00"),
    ],
)
def test_spellings(written: Any, meant: str) -> None:
    assert expires(written) == int(datetime.fromisoformat(meant).timestamp())


def expires(written: Any) -> Any:
    found = parse(changed(("splitway_clients[0].expires", written), ("splitway_time_zone", BERLIN)))
    return found.clients[0].expires


@pytest.mark.parametrize(
    "written",
    [
        *("", "tomorrow", "31.12.2026", "2026-13-01", "2026-02-30", "2026-12-31T24:01", "2026-12-31T10:00+25:00"),
        *("9999-12-31", "2026-12-31T10:00+01:75", "\u0662\u0660\u0662\u0666-12-31", 1798761600, True, [], {}),
    ],
)
def test_what_is_no_moment(written: Any) -> None:
    with pytest.raises(TopologyError) as raised:
        expires(written)
    assert [error.partition(": ")[0] for error in raised.value.errors] == ["splitway_clients[0].expires"]


OLD, SHARED = key("alice's old public"), key("alice's old shared")


def test_a_previous_key() -> None:
    before = {"public_key": OLD, "preshared_key": SHARED, "until": "2026-12-31T18:00:00Z"}
    client = parse(changed(("splitway_clients[0].previous", before))).clients[0]
    assert client.previous == PreviousKey(OLD, int(datetime(2026, 12, 31, 18, tzinfo=timezone.utc).timestamp()), SHARED)


@pytest.mark.parametrize(
    ("change", "path", "problem"),
    [
        ({"public_key": OLD}, "previous.until", "is required"),
        ({"until": "2026-12-31"}, "previous.public_key", "is required"),
        (
            {"public_key": key("alice public"), "until": "2026-12-31"},
            "previous.public_key",
            "is the client's present key: a previous one is another",
        ),
        ({"public_key": "x", "until": "2026-12-31"}, "previous.public_key", "is not a WireGuard key"),
        ({"public_key": OLD, "until": "2026-12-31", "key": "x"}, "previous.key", "unknown key"),
    ],
)
def test_previous_keys_that_are_none(change: Any, path: str, problem: str) -> None:
    with pytest.raises(TopologyError) as raised:
        parse(changed(("splitway_clients[0].previous", change)))
    assert any(error.startswith(f"splitway_clients[0].{path}: {problem}") for error in raised.value.errors)


def test_a_previous_key_is_nobody_elses() -> None:
    before = {"public_key": key("alice public"), "until": "2026-12-31"}
    with pytest.raises(TopologyError, match=r"splitway_clients\[1\]\.previous\.public_key: is already the key of"):
        parse(changed(("splitway_clients[1].previous", before)))


def test_kept_keys_come_before_those_of_the_entry() -> None:
    kept = {"clients": {"bob": {"public_key": OLD}, "somebody of another gateway": {"public_key": SHARED}}}
    alice, bob = parse(changed(("splitway_keys", kept))).clients
    assert (alice.public_key, bob.public_key) == (key("alice public"), OLD)
    assert (bob.private_key, bob.preshared_key) == (None, None), "nothing of the entry's own is left beside it"


def test_what_is_wrong_with_a_kept_key_is_said_of_it() -> None:
    with pytest.raises(TopologyError) as raised:
        parse(changed(("splitway_keys", {"clients": {"bob": {"public_key": "nonsense"}}})))
    assert raised.value.errors == ("splitway_keys.clients.bob.public_key: is not a WireGuard key",)
