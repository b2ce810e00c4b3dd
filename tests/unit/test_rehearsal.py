# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is to bring, as its steps find it: packed once, kept for one run, gone with it."""

from __future__ import annotations

import base64
import os
import zlib
from pathlib import Path

import pytest

from splitway.rehearsal import LONGEST, forget, keep, kept, packed
from splitway.state import AddressSet, Device, State
from splitway.store import Store, StoreError
from splitway.system import System

WANTED = State(
    backend="nftables",
    numbers={"egress:us": 101},
    upstreams=(Device("us", "wg-up-1", "a private key", ("10.64.0.2/32",), ()),),
    sets=(AddressSet("sw4d1", 4, 60),),
    source="f00d",
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(System(tmp_path / "etc", tmp_path / "run"))


def files(store: Store) -> list[Path]:
    return [path for path in store.system.runtime.rglob("*") if path.is_file()]


def test_steps_find_what_was_packed_and_nobody_else_can_read_it(store: Store) -> None:
    assert keep(store, "run", packed(WANTED)) == WANTED
    assert kept(store, "run", ("upstreams",)).upstreams == WANTED.upstreams
    assert kept(store, "run", ()).numbers == WANTED.numbers
    assert [path.stat().st_mode & 0o777 for path in files(store)] == [0o600]
    assert [path.parent.stat().st_mode & 0o777 for path in files(store)] == [0o700]


def test_nothing_packed_is_the_generation(store: Store) -> None:
    store.publish(WANTED)
    assert keep(store, "run", "") == WANTED
    assert kept(store, "run", ("sets",)).sets == WANTED.sets


def test_a_run_without_a_rehearsal_has_no_sections(store: Store) -> None:
    store.publish(WANTED)
    keep(store, "other", "")
    with pytest.raises(StoreError, match="the transaction run had no rehearsal"):
        kept(store, "run", ("sets",))


def test_the_end_of_a_run_leaves_nothing_of_it_and_what_is_of_others(store: Store) -> None:
    keep(store, "run", packed(WANTED))
    keep(store, "other", packed(WANTED))
    forget(store, "run")
    assert [path.name for path in files(store)] == ["other.json"]
    forget(store, "other")
    assert not store.system.runtime.exists()
    forget(store, "other")


def test_what_an_abandoned_run_left_goes_with_a_later_one(store: Store) -> None:
    keep(store, "abandoned", packed(WANTED))
    (left,) = files(store)
    keep(store, "check", packed(WANTED))
    then = left.stat().st_mtime - LONGEST - 1
    os.utime(left, (then, then))
    keep(store, "run", packed(WANTED))
    assert sorted(path.name for path in files(store)) == ["check.json", "run.json"]


@pytest.mark.parametrize(
    "package",
    ["no base64!", base64.b64encode(b"no zlib").decode(), base64.b64encode(zlib.compress(b"no state")).decode()],
)
def test_a_damaged_package_is_refused_and_not_kept(store: Store, package: str) -> None:
    with pytest.raises(StoreError):
        keep(store, "run", package)
    assert files(store) == []


def test_an_id_is_no_path(store: Store) -> None:
    with pytest.raises(StoreError, match="is not an id"):
        keep(store, "../../etc/run", packed(WANTED))
