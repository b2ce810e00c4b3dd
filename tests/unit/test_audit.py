# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit: what a record says, that it stays small, and that many writers do not mix their lines."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import stat
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway import audit, findings
from splitway.agent.commands import audit as audit_command
from splitway.audit import Entry, Reason
from splitway.reconcile.base import ADD, CHANGE, REMOVE, Change
from splitway.state import AddressSet, Device, Peer, Routes, State, Table
from splitway.system import System

NOW = 1795316400.25
STATE = State(
    server=Device("server", "wg0", None, (), (Peer("alice", "ALICEKEY=", ("10.8.0.2/32", "fd00::2/128")),)),
    upstreams=(Device("us", "wg-up-1", None, (), ()),),
    routes=Routes((Table(101, "us", "wg-up-1"),)),
    sets=(AddressSet("sw4d1", 4, 600, comment="list video"),),
)


class LoggingSystem(System):
    """A System with folders, and a journal, of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "etc", folder / "run", folder / "log")
        self.said: list[str] = []

    def journal(self, identifier: str, text: str) -> None:
        assert identifier == audit.IDENTIFIER
        self.said.append(text)


def described(section: str, *changes: Change, failure: str = "") -> dict:
    return audit.described(Entry(Reason("ansible as joe", "run 1"), section, changes, failure, (STATE,)), NOW)


def test_a_record_says_who_what_and_why(tmp_path: Path) -> None:
    system = LoggingSystem(tmp_path)
    change = Change(CHANGE, "wg0: peer alice", "keepalive off", "keepalive 25", payload="a secret")
    assert audit.record(system, Entry(Reason("ansible as joe", "run 1"), "server", (change,), "", (STATE,)), NOW) == ""
    line = audit.path(system).read_text()
    assert json.loads(line) == {
        "time": "2026-11-22T03:00:00.250+00:00",
        "who": "ansible as joe",
        "why": "run 1",
        "section": "server",
        "counts": {"change": 1},
        "objects": {"clients": ["alice"]},
        "changes": [
            {"action": "change", "what": "wg0: peer alice", "before": "keepalive off", "after": "keepalive 25"}
        ],
    }
    assert system.said == [line.rstrip("\n")]
    assert stat.S_IMODE(audit.path(system).stat().st_mode) in (0o600, 0o640)


@pytest.mark.parametrize(
    ("section", "change", "objects"),
    [
        ("server", Change(REMOVE, "wg0: peer ALICEKEY="), {"clients": ["alice"]}),
        ("server", Change(REMOVE, "wg0: peer OTHERKEY="), {"clients": ["OTHERKEY="]}),
        ("marks", Change(CHANGE, "clients 10.8.0.2 (v4) (ipset)", "10.8.0.2 1", "10.8.0.2 2"), {"clients": ["alice"]}),
        ("marks", Change(ADD, "chain egress_101 (nftables)", "", "counter"), {}),
        ("upstreams", Change(ADD, "interface wg-up-1 (us)"), {"upstreams": ["us"]}),
        ("upstreams", Change(CHANGE, "wg-up-1: peer us"), {"upstreams": ["us"]}),
        ("routes", Change(ADD, "rule 5030 fwmark 0x2065/0x3fff lookup 101 (v4)"), {"upstreams": ["us"]}),
        ("sets", Change(ADD, "set sw4d1 (ipset, list video)"), {"lists": ["list video"]}),
        ("dns", Change(CHANGE, "service splitway-dnsmasq.service"), {}),
    ],
)
def test_objects_are_named_as_the_operator_names_them(section: str, change: Change, objects: dict) -> None:
    assert described(section, change)["objects"] == objects


texts = st.text(st.characters(codec="utf-8"), max_size=50)


@given(
    st.lists(
        st.builds(
            lambda action, what, text, times: Change(action, f"set {what}", text * times, text),
            st.sampled_from((ADD, CHANGE, REMOVE)),
            texts,
            texts,
            st.sampled_from((1, 3, 5000)),
        ),
        max_size=60,
    ),
    st.sampled_from(("sets", "server", "marks")),
    texts,
)
def test_no_record_is_longer_than_allowed(changes: list[Change], section: str, text: str) -> None:
    found = described(section, *changes * 20, failure=text * 1000)
    assert len(json.dumps(found, separators=(",", ":"))) <= audit.LONGEST
    assert sum(found["counts"].values()) == len(changes) * 20
    assert len(found["changes"]) + found.get("left_out", 0) == len(changes) * 20


def test_a_long_change_keeps_its_first_lines() -> None:
    found = described("sets", Change(ADD, "set sw4n1", "", "\n".join(f"198.51.100.{i}" for i in range(5000))))
    after = found["changes"][0]["after"].splitlines()
    assert after[0] == "198.51.100.0"
    assert after[-1] == f"… {5000 - len(after) + 1} more lines"


def test_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    system = LoggingSystem(tmp_path)
    entries = [
        Entry(Reason(f"writer {number}", "x" * 200), "sets", (Change(ADD, f"set {number}", "", "y" * 1400),) * 6)
        for number in range(4)
    ]
    threads = [
        threading.Thread(target=lambda entry=entry: [audit.record(system, entry, NOW) for _ in range(50)])
        for entry in entries
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with audit.path(system).open() as lines:
        found = list(audit.read_lines(lines))
    assert len(found) == 200
    assert None not in found


def test_what_cannot_be_written_is_said_and_stops_nobody(tmp_path: Path) -> None:
    system = LoggingSystem(tmp_path)
    system.log.write_text("a file where the folder should be")
    entry = Entry(Reason("agent", "healed"), "sets", (Change(ADD, "set sw4d1"),))
    said = audit.record(system, entry, NOW)
    assert said.startswith("the audit could not be written:")
    assert system.said[-1] == said
    assert json.loads(system.said[0])["why"] == "healed", "the journal has it"


def test_a_damaged_line_is_told_from_a_record() -> None:
    record = json.dumps(described("sets", Change(ADD, "set sw4d1")))
    assert list(audit.read_lines(["{", "[]", "3", '{"time": 3}', record])) == [None] * 4 + [json.loads(record)]


def odd(**changes: Any) -> str:
    """Return a record's line with these values in it."""
    return json.dumps({**described("sets", Change(ADD, "set sw4d1")), **changes})


@pytest.mark.parametrize(
    "line",
    [
        odd()[:-40],
        "[" * 100_000,
        odd(time="yesterday"),
        odd(time="2026-11-22T03:00:00"),
        odd(time="9999-12-31T23:59:59+00:00"),
        odd(who=7),
        odd(failure=["no"]),
        odd(why="half a letter \ud83d"),
        odd(counts=["add"]),
        odd(counts={"add": "many"}),
        odd(counts={"add": True}),
        odd(counts={"add": 10**400}),
        odd(objects=["alice"]),
        odd(objects={"clients": "alice"}),
        odd(objects={"clients": [7]}),
        odd(changes={"action": "add"}),
        odd(changes=["add"]),
        odd(changes=[{"what": "set sw4d1"}]),
        odd(changes=[{"action": "add", "what": None}]),
        odd(changes=[{"action": "add", "what": "set", "after": 7}]),
    ],
    ids=lambda line: line[:20],
)
def test_what_somebody_wrote_there_is_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    system = LoggingSystem(tmp_path)
    system.log.mkdir()
    audit.path(system).write_text(f"{odd(why='before ☃ 🐟')}\n{line}\n{odd(why='after')}\n")
    records, damaged = findings.recorded(system, 10)
    assert ([record["why"] for record in records], damaged) == (["after", "before ☃ 🐟"], 1)
    for as_json in (False, True):
        audit_command.run(argparse.Namespace(since=None, what="set", json=as_json), system)
        assert "1 lines of the audit are damaged" in capsys.readouterr().err


@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_stop_nobody(line: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        system = LoggingSystem(Path(folder))
        system.log.mkdir()
        audit.path(system).write_bytes(line.replace(b"\n", b"") + b"\n" + odd(why="after").encode() + b"\n")
        assert [record["why"] for record in findings.recorded(system, 10)[0]] == ["after"]


@pytest.mark.skipif(os.geteuid() != 0, reason="root may write to what is a link of anybody's")
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    system = LoggingSystem(tmp_path)
    system.log.mkdir()
    victim = tmp_path / "victim"
    audit.path(system).symlink_to(victim)
    assert audit.record(system, Entry(Reason("agent", ""), "sets", (Change(ADD, "set"),)), NOW)
    assert not victim.exists()


def test_states_may_be_parts() -> None:
    bare = dataclasses.replace(STATE, server=None, routes=Routes())
    entry = Entry(Reason("agent", ""), "upstreams", (Change(ADD, "interface wg-up-1"),), "", (State(), bare))
    assert audit.objects(entry) == {"upstreams": ["us"]}


def test_the_last_records_go_on_in_what_was_rotated_away_last(tmp_path: Path) -> None:
    system = LoggingSystem(tmp_path)
    assert audit.last(system, 3) == ([], 0)
    for number in range(4):
        if number == 2:
            audit.path(system).rename(audit.path(system).with_suffix(".jsonl.1"))
        audit.record(system, Entry(Reason("agent", f"why {number}"), "routes", ()), NOW)
    with audit.path(system).open("a") as stream:
        stream.write('{"damaged')
    records, damaged = audit.last(system, 3)
    assert ([record["why"] for record in records], damaged) == (["why 1", "why 2", "why 3"], 1)


def test_the_line_that_reading_begins_in_is_not_a_damaged_one(tmp_path: Path) -> None:
    system = LoggingSystem(tmp_path)
    for number in range(200):
        audit.record(system, Entry(Reason("agent", f"why {number}"), "routes", ()), NOW)
    records, damaged = audit.last(system, 1)
    assert ([record["why"] for record in records], damaged) == (["why 199"], 0)
