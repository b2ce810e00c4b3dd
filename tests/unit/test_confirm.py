# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is to be confirmed: it is, or the host is what it was before, whatever happened in between."""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import splitway
from splitway import transaction
from splitway.agent import awaiting, boot
from splitway.state import State
from splitway.store import Store, StoreError

sys.path.insert(0, str(Path(__file__).parent))
from pretended import Kernel, kernel, run, state, steps, store

__all__ = ["kernel", "store"]
OTHER = state(upstream="wg-up-2", list_="sw4d2", client="bob")


def commit(store: Store, wanted: State, seconds: float = 60, identifier: str = "risky") -> None:
    transaction.begin(store, identifier)
    steps(store, wanted, identifier)
    transaction.commit(store, identifier, wanted.numbers, confirm=seconds)


def files(store: Store) -> list[str]:
    return sorted(path.name for path in store.system.configuration.glob("*"))


def is_as_before(kernel: Kernel, store: Store, before: State) -> None:
    assert store.generation() == before
    assert kernel.there["server"] == ({"alice"} if before != State() else set())
    assert kernel.there["upstreams"] == ({"wg-up-1"} if before != State() else set())
    assert store.unconfirmed() is None
    assert "unconfirmed.json" not in files(store)
    assert "state.confirmed.json" not in files(store)


def test_a_confirmed_run_stays(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER, 0.3)
    assert store.generation() == OTHER
    transaction.confirm(store, "risky")
    time.sleep(0.4)
    transaction.begin(store, "next")
    assert store.generation() == OTHER
    assert kernel.there["server"] == {"bob"}


@pytest.mark.parametrize("before", [state(), State()], ids=["a generation", "nothing"])
def test_what_is_not_confirmed_in_time_goes_back(kernel: Kernel, store: Store, before: State) -> None:
    if before != State():
        run(store, before)
    commit(store, OTHER, 0.2)
    assert kernel.there["server"] == {"bob"}
    time.sleep(0.3)
    with pytest.raises(StoreError, match="risky was not confirmed in time"):
        transaction.confirm(store, "risky")
    transaction.begin(store, "next")
    is_as_before(kernel, store, before)


def test_a_run_whose_tests_fail_goes_back_at_once(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER)
    assert transaction.roll_back(store, "risky")
    is_as_before(kernel, store, state())
    assert transaction.roll_back(store, "risky") == ()


def test_nobody_else_changes_a_gateway_that_waits(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER)
    with pytest.raises(StoreError, match="another run, risky, waits to be confirmed; its time is up in"):
        transaction.begin(store, "next")
    with pytest.raises(StoreError, match="waits to be confirmed"):
        transaction.bring(store, "sets", (), backend=None, transaction=None, purge=True)
    with pytest.raises(StoreError):
        transaction.confirm(store, "another")
    transaction.confirm(store, "risky")
    transaction.begin(store, "next")


def test_the_next_run_waits_for_it(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER, 0.5)
    transaction.begin(store, "next", wait=5)
    is_as_before(kernel, store, state())


def test_a_run_that_changes_nothing_need_not_be_confirmed(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, state(), 60)
    assert store.unconfirmed() is None


def test_a_reboot_counts_as_not_confirmed(kernel: Kernel, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, state())
    commit(store, OTHER)
    monkeypatch.setattr(store.system, "boot", lambda: "another")
    monkeypatch.setattr(boot, "VERDICT", ())
    monkeypatch.setattr(boot, "restore_early", lambda _: boot.Healing())
    boot.run(argparse.Namespace(early=True), store.system)
    assert store.generation() == state(), "before the first packet"
    with store.lock():
        assert transaction.end_expired(store)
    is_as_before(kernel, store, state())


def test_a_damaged_record_of_it_is_one_that_nobody_can_confirm(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER)
    (store.system.configuration / "unconfirmed.json").write_text('{"id": "ri')
    transaction.begin(store, "next")
    is_as_before(kernel, store, state())


def test_without_the_generation_before_it_the_new_one_stays(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER, 0.1)
    (store.system.configuration / "state.confirmed.json").write_text("{")
    time.sleep(0.2)
    with pytest.raises(StoreError, match=r"state\.confirmed\.json"):
        transaction.begin(store, "next")
    transaction.begin(store, "next")
    assert store.generation() == OTHER


def test_what_cannot_be_brought_back_now_is_published_all_the_same(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER)
    kernel.broken = "alice"
    with pytest.raises(transaction.ReconcileError):
        transaction.roll_back(store, "risky")
    assert store.generation() == state()
    assert store.unconfirmed() is None


def test_everything_can_be_removed_meanwhile(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER)
    transaction.remove_all(store)
    assert files(store) == []
    assert not any(kernel.there.values())


@pytest.mark.parametrize("committed", [True, False])
def test_who_sits_beside_a_run_rolls_it_back_and_ends(kernel: Kernel, store: Store, committed: bool) -> None:
    run(store, state())
    if committed:
        commit(store, OTHER, 0.7)
    else:
        transaction.begin(store, "risky", deadline=0.7)
        transaction.bring(store, "server", OTHER.server, backend=None, transaction="risky", purge=True)
        store.open("risky", 0.7)
    waiting = threading.Thread(target=awaiting.run, args=(argparse.Namespace(identifier="risky"), store.system))
    waiting.start()
    time.sleep(0.2)
    assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()
    assert store.generation() == state()
    assert kernel.there["server"] == {"alice"}


def test_who_sits_beside_a_run_ends_with_it(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER)
    transaction.confirm(store, "risky")
    assert awaiting.run(argparse.Namespace(identifier="risky"), store.system) == 0
    assert store.generation() == OTHER


def test_it_is_started_as_a_program_that_systemd_does_not_change(store: Store) -> None:
    """On a host where no such run is open it ends at once. systemd escapes semicolons, and expands % and $."""
    engine = Path(splitway.__path__[0]).parent
    program = awaiting.start(engine)
    assert not set(";%$") & set(program)
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, "await-run", "nobody"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
