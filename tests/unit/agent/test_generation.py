# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent takes for the generation while its file is damaged, gone, or another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from splitway.agent.healing.generation import Generation
from splitway.state import State
from splitway.store import Store
from splitway.system import System

OLD, NEW = State(backend="nftables"), State(backend="ipset", numbers={"egress:us": 101})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(System(tmp_path / "etc", tmp_path / "run"))
    store.publish(OLD)
    store.publish(NEW)
    return store


def file(store: Store) -> Path:
    return store.system.configuration / "state.json"


def test_a_new_generation_is_taken_up(store: Store) -> None:
    generation = Generation(store)
    assert (generation.state, generation.problem) == (NEW, None)
    assert not generation.refresh()
    newer = dataclasses.replace(NEW, numbers={"egress:us": 102})
    store.publish(newer)
    assert not generation.current
    assert generation.refresh()
    assert generation.state == newer


@pytest.mark.parametrize("taken_away", [False, True])
def test_what_is_known_outlives_its_file(store: Store, taken_away: bool) -> None:
    generation = Generation(store)
    for path in (file(store), store.system.configuration / "state.previous.json"):
        if taken_away:
            path.unlink()
        else:
            path.write_text("{")
        generation.refresh()
        assert generation.state == NEW
        assert generation.problem


def test_an_agent_that_starts_uses_the_generation_before_a_damaged_one(store: Store) -> None:
    file(store).write_text("{")
    generation = Generation(store)
    assert generation.state == OLD
    assert "damaged" in (generation.problem or "")


def test_an_agent_that_starts_without_any_good_one_knows_nothing_and_says_so(store: Store) -> None:
    file(store).write_text("{")
    (store.system.configuration / "state.previous.json").write_text("{")
    generation = Generation(store)
    assert generation.state == State()
    assert generation.problem
