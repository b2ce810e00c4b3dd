# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway audit`: the records of all files in order, the chosen ones, in words or as JSON."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from splitway import audit
from splitway.agent.commands import audit as audit_command
from splitway.agent.errors import AgentError
from splitway.audit import Entry, Reason
from splitway.reconcile.base import ADD, CHANGE, Change
from splitway.system import System

NOW = 1795316400.0


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def line(now: float, section: str = "sets", why: str = "run 1", failure: str = "") -> str:
    change = Change(CHANGE, "wg-up-1: mtu", "1420", "1380") if section == "upstreams" else Change(ADD, "set sw4d1")
    return json.dumps(audit.described(Entry(Reason("ansible as joe", why), section, (change,), failure), now)) + "\n"


@pytest.fixture
def system(tmp_path: Path) -> System:
    """A host with an audit that was rotated twice."""
    found = System(tmp_path / "etc", tmp_path / "run", tmp_path / "log")
    path = audit.path(found)
    path.parent.mkdir()
    with gzip.open(f"{path}.10.gz", "wt") as stream:
        stream.write(line(NOW - 90 * 86400, why="ten"))
    with gzip.open(f"{path}.2.gz", "wt") as stream:
        stream.write(line(NOW - 40 * 86400, why="two"))
    Path(f"{path}.1").write_text(line(NOW - 10 * 86400, why="one") + "damaged\n")
    path.write_text(line(NOW - 3600, "upstreams", "an hour ago") + line(NOW - 60, why="now", failure="no such thing"))
    (path.parent / "access.jsonl").write_text("{}")
    return found


def printed(system: System, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    parser = argparse.ArgumentParser()
    audit_command.arguments(parser)
    assert audit_command.run(parser.parse_args(words), system) == 0
    return capsys.readouterr().out


def reasons(system: System, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    return [json.loads(text)["why"] for text in printed(system, capsys, "--json", *words).splitlines()]


def test_all_files_the_oldest_first(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    assert reasons(system, capsys) == ["ten", "two", "one", "an hour ago", "now"]


def test_damaged_lines_are_told_and_hide_nothing(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    audit_command.arguments(parser)
    audit_command.run(parser.parse_args([]), system)
    assert capsys.readouterr().err == "splitway: 1 lines of the audit are damaged and left out\n"


def test_a_choice(system: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert reasons(system, capsys, "--since", "15d") == ["one", "an hour ago", "now"]
    assert reasons(system, capsys, "--since", "2m") == ["now"]
    assert reasons(system, capsys, "--what", "upstreams") == ["an hour ago"]
    assert reasons(system, capsys, "--what", "sw4d1", "--since", "today") == ["now"]


def test_for_people(system: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert (
        printed(system, capsys, "--since", "2h")
        == """\
2026-11-22 02:00:00  ansible as joe  upstreams  ~1  an hour ago
    ~ wg-up-1: mtu: 1420 → 1380
2026-11-22 02:59:00  ansible as joe  sets  +1  now
    + set sw4d1
    FAILED: no such thing
"""
    )


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("90s", "2026-11-22T02:58:30"),
        ("1w", "2026-11-15T03:00:00"),
        ("today", "2026-11-22T00:00:00"),
        ("yesterday", "2026-11-21T00:00:00"),
        ("2026-11-01", "2026-11-01T00:00:00"),
        ("2026-11-22T01:30+01:00", "2026-11-22T00:30:00"),
    ],
)
def test_times(text: str, when: str) -> None:
    assert audit_command.since_of(text, NOW) == datetime.fromisoformat(when).timestamp()


@pytest.mark.parametrize("text", ["", "h", "2 hours", "-1h", "22.11.2026", "9999999999d", "2026-13-01", "now"])
def test_a_malformed_time_says_what_to_write(text: str) -> None:
    with pytest.raises(AgentError, match="write 30m, 2h"):
        audit_command.since_of(text, NOW)


def test_a_host_without_an_audit(tmp_path: Path) -> None:
    options = argparse.Namespace(since=None, what=None, json=False)
    with pytest.raises(AgentError, match="nothing has been recorded"):
        audit_command.run(options, System(log=tmp_path / "log"))


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40], ids=["cut off", "garbage"])
def test_a_damaged_archive_is_named(system: System, damage: bytes) -> None:
    archive = Path(f"{audit.path(system)}.2.gz")
    archive.write_bytes(archive.read_bytes()[:20] + damage)
    os.truncate(f"{audit.path(system)}.10.gz", 0)
    options = argparse.Namespace(since=None, what=None, json=True)
    with pytest.raises(AgentError, match=r"audit.jsonl.2.gz cannot be read"):
        audit_command.run(options, system)
