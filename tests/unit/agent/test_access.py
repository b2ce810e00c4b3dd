# SPDX-License-Identifier: GPL-3.0-or-later
"""The access log: whole entries, one file a day, nothing older than the operator wants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splitway.agent.figures import access
from splitway.agent.figures.access import AccessLog
from splitway.system import System

DAY = 86400
NOW = 1795348800.0  # noon, UTC


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path / "etc", tmp_path / "run", tmp_path / "log")


def test_an_entry_says_who_asked_for_what_and_where_it_goes(system: System) -> None:
    log = AccessLog(system, 7)
    for name in ("video.example", "video.example", "例子.example"):
        log.note("alice", name, "us", NOW)
    log.flush(NOW)
    assert [json.loads(line) for line in (system.log / "access-2026-11-22.jsonl").read_text().splitlines()] == [
        {"time": "2026-11-22T12:00:00+00:00", "client": "alice", "name": "video.example", "egress": "us"},
        {"time": "2026-11-22T12:00:00+00:00", "client": "alice", "name": "例子.example", "egress": "us"},
    ]
    log.flush(NOW)
    log.note("alice", "video.example", "us", NOW + 60)
    log.flush(NOW + 61)
    assert len((system.log / "access-2026-11-22.jsonl").read_text().splitlines()) == 3


def test_days_that_are_over_go_and_nothing_else(system: System) -> None:
    log = AccessLog(system, 2)
    for day in range(5):
        log.note("alice", "video.example", "us", NOW + day * DAY)
        log.flush(NOW + day * DAY)
    (system.log / "audit.jsonl").touch()
    (system.log / "access-2000-01-01.jsonl.kept").touch()
    days = [f"access-2026-11-{day}.jsonl" for day in (24, 25, 26)]
    assert sorted(path.name for path in system.log.iterdir()) == ["access-2000-01-01.jsonl.kept", *days, "audit.jsonl"]
    access.clean(system, -1, NOW + 4 * DAY)
    assert sorted(path.name for path in system.log.iterdir()) == ["access-2000-01-01.jsonl.kept", "audit.jsonl"]


def test_a_flood_is_dropped_and_counted(system: System) -> None:
    log = AccessLog(system, 7)
    for number in range(access.MOST + 5):
        log.note("alice", f"{number}.example", "us", NOW)
    log.flush(NOW)
    assert log.dropped == 5
    assert len((system.log / "access-2026-11-22.jsonl").read_text().splitlines()) == access.MOST
