# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway names`: the addresses of pinned names, in a table or as JSON."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from splitway.agent import control
from splitway.agent.commands import names
from splitway.agent.errors import AgentError
from splitway.agent.figures.resolving import AddressStatus, to_plain
from splitway.system import System

NOW = 1795316400.0
FOUND = [
    AddressStatus("video.example", "198.51.100.1", "us", 1, 0.999, 0.0123, NOW - 3, 0, "nl"),
    AddressStatus("video.example", "198.51.100.2", "us", None, 0.4, None, NOW - 61, 4, ""),
    AddressStatus("www.example", "2001:db8::1", "direct", None, 0.9, None, None, 0, ""),
]


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Any, *words: str) -> str:
    parser = argparse.ArgumentParser()
    names.arguments(parser)
    monkeypatch.setattr(control, "ask", lambda _, question: {"names": data}[question])
    monkeypatch.setattr(System, "now", lambda _: NOW)
    assert names.run(parser.parse_args(words), System()) == 0
    return capsys.readouterr().out


def test_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(monkeypatch, capsys, to_plain(FOUND)).splitlines() == [
        "",
        "PINNED NAMES",
        "NAME           ADDRESS       EGRESS  SERVED  CONNECT  SUCCESS          TRIED  COUNTRY",
        "video.example  198.51.100.1  us           1  12.3 ms     100%        3 s ago  nl",
        "video.example  198.51.100.2  us           -        -      40%  1 min 1 s ago  -",
        "www.example    2001:db8::1   direct       -        -        -          never  -",
    ]
    assert printed(monkeypatch, capsys, []) == "no names are pinned: see pin of splitway_lists\n"


def test_one_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(monkeypatch, capsys, to_plain(FOUND), "--json", "WWW.example.")
    assert [entry["address"] for entry in json.loads(text)] == ["2001:db8::1"]
    with pytest.raises(AgentError, match=r"other\.example is not pinned"):
        printed(monkeypatch, capsys, to_plain(FOUND), "other.example")


def test_an_agent_of_another_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AgentError, match="of another version"):
        printed(monkeypatch, capsys, [{"name": 7}])
