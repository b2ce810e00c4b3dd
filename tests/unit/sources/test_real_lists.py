# SPDX-License-Identifier: GPL-3.0-or-later
"""1,500 real lists (v2fly's), found through SPLITWAY_TEST_DATA: all are read, with their includes, and compiled."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from splitway.compiler import compile_state
from splitway.sources.library import ListLibrary
from splitway.sources.loading import Places
from splitway.sources.memo import Memo
from splitway.topology import parse

DATA = Path(os.environ.get("SPLITWAY_TEST_DATA", "/nonexistent")) / "v2fly-domain-list-community" / "data"
SECONDS = 5  # of processor time, for all lists in one policy

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPLITWAY_TEST_DATA names no lists")


CACHE: dict[Path, list[tuple[str, set[str]]]] = {}


def entries_of(path: Path) -> list[tuple[str, set[str]]]:
    """Return (name, attributes) of a list and of all that it includes: a second reader, which knows what these have."""
    if path in CACHE:
        return CACHE[path]
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition("#")[0].strip().rpartition(":")
        if not rest:
            continue
        value, *marks = rest.split()
        has = {mark[1:] for mark in marks if mark.startswith("@")}
        if kind == "include":
            banned = {mark[1:] for mark in has if mark.startswith("-")}
            must = {mark for mark in has if not mark.startswith("-")}
            found += [entry for entry in entries_of(path.parent / value) if must <= entry[1] and not banned & entry[1]]
        elif kind in ("", "domain", "full"):
            found.append((value.lower(), has))
    CACHE[path] = found
    return found


def test_all_are_read_and_compiled(tmp_path: Path) -> None:
    lists = {path.name: {"source": path.name} for path in sorted(DATA.iterdir())}
    assert len(lists) > 1500
    variables = {
        "splitway_server": {"addresses": ["10.8.0.1/16"]},
        "splitway_lists": lists,
        "splitway_policies": {"all": {"rules": [{"list": name, "egress": "block"} for name in lists]}},
        "splitway_clients": [{"name": "everybody", "addresses": ["10.8.0.200"], "policy": "all"}],
    }
    started = time.process_time()
    memo = Memo(tmp_path)
    library = ListLibrary(Places((DATA,), tmp_path / "copies", memo.started), memo)
    topology = parse(variables, library)
    parsed = time.process_time() - started
    state = compile_state(topology, {})
    seconds = time.process_time() - started
    again = time.process_time()
    other = ListLibrary(Places((DATA,), tmp_path / "copies", memo.started), memo)
    assert parse(variables, other) == topology
    again = time.process_time() - again
    print(
        f"{len(lists)} lists: read {parsed:.2f} s, with {len(state.dns.lines)} lines {seconds:.2f} s; again {again:.2f}"
    )

    assert seconds < SECONDS
    assert again < parsed
    assert not other.news
    for entry in topology.lists:
        found = library.loaded[entry.name].entries
        expected = {name for name, _ in entries_of(DATA / entry.name)}
        derived = set(entry.domains) - expected
        assert expected <= set(entry.domains), entry.name
        assert derived <= {"zh.okaapps.com"}, "a regular expression that means a name and all below it"
        assert not found.mistakes


def test_attributes_choose(tmp_path: Path) -> None:
    variables = {
        "splitway_server": {"addresses": ["10.8.0.1/16"]},
        "splitway_lists": {
            "with": {"source": "google", "attributes": ["@ads"]},
            "without": {"source": "google", "attributes": ["-ads"]},
        },
    }
    with_, without = parse(variables, ListLibrary(Places((DATA,), tmp_path, time.time()))).lists
    entries = entries_of(DATA / "google")
    assert set(with_.domains) == {name for name, has in entries if "ads" in has}
    assert set(without.domains) == {name for name, has in entries if "ads" not in has}
