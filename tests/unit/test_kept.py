# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host keeps beside its generation: read as written, nothing while it is damaged, gone with the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.choices import Choice
from splitway.kept import Kept
from splitway.mtus import Found
from splitway.state import State, Way
from splitway.store import Store
from splitway.system import System
from splitway.transports import WEBSOCKET, Carried

KEPT: dict[str, dict[Any, Any]] = {
    "choices": {101: Choice((Way(101), Way(102, 3)), direct=True)},
    "carried": {"us": Carried(WEBSOCKET, 1)},
    "mtus": {"wg-up-1": Found(1412, "192.0.2.1:51820", "a path", 1000.5)},
    "ports": {"web/http": 81},
    "holders": {"alice": "a key"},
}
FILES = {"choices": "run", "carried": "run", "mtus": "data", "ports": "data", "holders": "data"}


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(*(tmp_path / name for name in ("etc", "run", "log", "data")))


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("damaged", ["{", "[]", "3", '{"us": 5.5}', '{"us": {}}', "\0"])
def test_it_is_read_as_it_was_written_and_is_nothing_while_it_is_damaged(
    system: System, tmp_path: Path, name: str, damaged: str
) -> None:
    mapping = getattr(Kept(system), name)
    assert mapping.read() == {}
    mapping.write(KEPT[name])
    assert getattr(Kept(system), name).read() == KEPT[name]
    (file,) = (tmp_path / FILES[name]).iterdir()
    file.write_text(damaged)
    assert mapping.read() == {}
    mapping.write({})
    assert not file.exists()


@given(st.dictionaries(st.text(), st.text()))
def test_whatever_names_there_are(tmp_path_factory: pytest.TempPathFactory, holders: dict[str, str]) -> None:
    folder = tmp_path_factory.mktemp("kept")
    kept = Kept(System(*(folder / name for name in ("etc", "run", "log", "data"))))
    kept.holders.write(holders)
    assert kept.holders.read() == holders


def test_what_is_added_comes_beside_the_rest_and_one_can_go(system: System) -> None:
    ports = Kept(system).ports
    ports.add({"a": 1, "b": 2})
    ports.add({"b": 3})
    assert ports.read() == {"a": 1, "b": 3}
    ports.remove("a")
    ports.remove("never there")
    assert ports.read() == {"b": 3}


def test_what_is_there_already_is_not_written_again(system: System, tmp_path: Path) -> None:
    ports = Kept(system).ports
    ports.add({"a": 1})
    before = (tmp_path / "data" / "ports.json").stat()
    ports.add({"a": 1})
    assert (tmp_path / "data" / "ports.json").stat() == before


def test_nothing_is_left_when_everything_is_removed(system: System, tmp_path: Path) -> None:
    kept = Kept(system)
    for name, items in KEPT.items():
        getattr(kept, name).write(items)
    kept.fall_to("proxy")
    assert kept.fallen_to() == "proxy"
    Store(system).publish(State())
    assert kept.fallen_to() is None
    assert [path for folder in ("run", "data") for path in (tmp_path / folder).iterdir()] == []
