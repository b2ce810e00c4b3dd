# SPDX-License-Identifier: GPL-3.0-or-later
"""The published generation on a disk that fails: what is damaged is reported, and the last good one is used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Callable

import pytest

from splitway.choices import Choice
from splitway.state import AddressSet, Device, State, Way, to_data
from splitway.store import Store, StoreError
from splitway.system import System

OLDEST, OLD, NEW = (State(numbers={"egress:us": 101}, sets=(AddressSet(name, 4, 60),)) for name in ("a", "b", "c"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(System(tmp_path / "etc", tmp_path / "run"))


@pytest.fixture
def path(store: Store) -> Path:
    return store.system.configuration / "state.json"


def flipped(content: bytes) -> bytes:
    """One bit of a name: still JSON, still a state."""
    return content.replace(b'"name":"c"', b'"name":"b"')


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[:-20],
    "cut off by a byte": lambda content: content[:-1],
    "empty": lambda content: content[:0],
    "a bit flipped": flipped,
    "no text": lambda content: b"\xff\xfe" + content,
    "zeros": lambda content: bytes(len(content)),
    "more behind it": lambda content: content + content,
}


def test_what_is_published_is_read_back(store: Store, path: Path) -> None:
    store.publish(NEW)
    assert store.generation_or_previous() == (NEW, None)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_generation_of_an_earlier_engine_is_read_and_kept_as_the_one_before(store: Store, path: Path) -> None:
    """It had all in one line."""
    text = json.dumps(to_data(OLD), separators=(",", ":"), sort_keys=True)
    path.parent.mkdir()
    path.write_text(f'{{"sha256":"{hashlib.sha256(text.encode()).hexdigest()}","state":{text}}}\n', encoding="utf-8")
    assert store.generation_or_previous() == (OLD, None)
    store.publish(NEW)
    path.write_bytes(b"")
    assert store.generation() == OLD


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_generation_before_a_damaged_one_is_used_and_it_is_said(store: Store, path: Path, damage: str) -> None:
    store.publish(OLD)
    store.publish(NEW)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    state, problem = store.generation_or_previous()
    assert state == OLD
    assert problem is not None
    assert "state.json is damaged" in problem
    assert "site.yml" in problem
    assert "\n" not in problem


def test_a_generation_that_was_taken_away_is_the_one_before(store: Store, path: Path) -> None:
    store.publish(OLD)
    store.publish(NEW)
    path.unlink()
    state, problem = store.generation_or_previous()
    assert (state, problem is not None) == (OLD, True)


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_next_publication_replaces_a_damaged_one_and_keeps_the_good_one(
    store: Store, path: Path, damage: str
) -> None:
    store.publish(OLD)
    store.publish(NEW)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    store.publish(NEW)
    assert store.generation_or_previous() == (NEW, None)
    path.write_bytes(b"")
    assert store.generation() == OLD


def test_one_of_another_schema_is_damaged(store: Store) -> None:
    store.publish(OLD)
    store.publish(State(schema=99, sets=NEW.sets))
    state, problem = store.generation_or_previous()
    assert state == OLD
    assert "not a state of schema" in str(problem)


def test_without_a_good_one_nothing_is_done(store: Store, path: Path) -> None:
    store.publish(NEW)
    path.write_bytes(b"")
    with pytest.raises(StoreError, match=r"state\.json is damaged .*; remove it to start from nothing"):
        store.generation()
    store.publish(OLD)
    store.publish(NEW)
    path.write_bytes(b"")
    path.with_name("state.previous.json").write_bytes(b"{}")
    with pytest.raises(StoreError, match=r"state\.previous\.json; remove both to start from nothing"):
        store.generation()


def test_a_second_publication_of_the_same_keeps_the_one_before(store: Store, path: Path) -> None:
    for state in (OLDEST, OLD, NEW, NEW):
        store.publish(state)
    path.write_bytes(b"")
    assert store.generation() == OLD


def test_a_reader_finds_a_whole_state_at_any_moment(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever step of a publication the power fails at."""
    store.publish(OLD)
    found = []
    system = store.system
    for name in ("write_file", "link_file"):
        step = getattr(system, name)

        def watched(*arguments: object, step: Callable[..., None] = step) -> None:
            found.append(store.generation_or_previous())
            step(*arguments)
            found.append(store.generation_or_previous())

        monkeypatch.setattr(system, name, watched)
    store.publish(NEW)
    assert found == [(OLD, None), (OLD, None), (OLD, None), (NEW, None)]


def test_the_empty_state_leaves_no_file(store: Store, path: Path) -> None:
    store.publish(OLD)
    store.publish(State(upstreams=(Device("us", "wg-up-1", None, (), ()),)))
    store.kept.choices.write({101: Choice((Way(101),), direct=True)})
    store.publish(State())
    assert store.kept.choices.read() == {}
    assert list(path.parent.iterdir()) == []
