# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is to be confirmed: it is, or the host is what it was before, whatever happened in between."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import splitway
from splitway import rehearsal, transaction
from splitway.agent import awaiting, boot
from splitway.reconcile.base import ReconcileError
from splitway.state import State
from splitway.store import Store, StoreError
from splitway.system import System

sys.path.insert(0, str(Path(__file__).parent))
from pretended import Kernel, kernel, run, state, steps, store

__all__ = ["kernel", "store"]
OTHER = state(upstream="wg-up-2", list_="sw4d2", client="bob")


@pytest.fixture
def later(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets so many seconds pass for runs. Else no time passes, however slow the machine is."""
    now = [store.system.uptime()]
    monkeypatch.setattr(store.system, "uptime", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


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


def test_a_confirmed_run_stays(kernel: Kernel, store: Store, later: Callable[[float], None]) -> None:
    run(store, state())
    commit(store, OTHER, 0.3)
    assert store.generation() == OTHER
    transaction.confirm(store, "risky")
    later(0.4)
    transaction.begin(store, "next")
    assert store.generation() == OTHER
    assert kernel.there["server"] == {"bob"}


@pytest.mark.parametrize("before", [state(), State()], ids=["a generation", "nothing"])
def test_what_is_not_confirmed_in_time_goes_back(
    kernel: Kernel, store: Store, later: Callable[[float], None], before: State
) -> None:
    if before != State():
        run(store, before)
    commit(store, OTHER, 0.2)
    assert kernel.there["server"] == {"bob"}
    later(0.3)
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
    transaction.begin(store, "next", wait=60)
    is_as_before(kernel, store, state())


def test_a_run_that_changes_nothing_need_not_be_confirmed(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, state(), 60)
    assert store.unconfirmed() is None


def reboot(store: Store) -> None:
    """What was in memory is gone. That of a container is no boot of its kernel."""
    shutil.rmtree(store.system.runtime)


def test_another_backend_alone_is_to_be_confirmed(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, dataclasses.replace(state(), backend="nftables"))
    assert store.unconfirmed() is not None
    transaction.roll_back(store, "risky")
    is_as_before(kernel, store, state())


def test_a_reboot_counts_as_not_confirmed(kernel: Kernel, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, state())
    commit(store, OTHER)
    reboot(store)
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


def test_without_the_generation_before_it_the_new_one_stays(
    kernel: Kernel, store: Store, later: Callable[[float], None]
) -> None:
    run(store, state())
    commit(store, OTHER, 0.1)
    (store.system.configuration / "state.confirmed.json").write_text("{")
    later(0.2)
    with pytest.raises(StoreError, match=r"state\.confirmed\.json"):
        transaction.begin(store, "next")
    transaction.begin(store, "next")
    assert store.generation() == OTHER


def test_what_cannot_be_brought_back_now_is_published_all_the_same(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER)
    kernel.broken = "alice"
    with pytest.raises(ReconcileError):
        transaction.roll_back(store, "risky")
    assert store.generation() == state()
    assert store.unconfirmed() is None


def test_what_of_a_first_run_cannot_be_removed_now_is_tried_again(kernel: Kernel, store: Store) -> None:
    """There is no agent then that would heal it."""
    commit(store, OTHER, 0.1)
    kernel.broken = "wg-up-2"
    watching = threading.Thread(target=awaiting.run, args=(argparse.Namespace(identifier="risky"), store.system))
    watching.start()
    while store.generation() != State():
        time.sleep(0.05)
    assert kernel.there["upstreams"] == {"wg-up-2"}
    assert kernel.there["server"] == set()
    kernel.broken = ""
    watching.join(60)
    assert not any(kernel.there.values())
    assert files(store) == []


def test_everything_can_be_removed_meanwhile(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER)
    transaction.remove_all(store)
    assert files(store) == []
    assert not any(kernel.there.values())


@pytest.mark.parametrize("committed", [True, False])
def test_who_sits_beside_a_run_rolls_it_back_and_ends(
    kernel: Kernel, store: Store, later: Callable[[float], None], committed: bool
) -> None:
    run(store, state())
    if committed:
        commit(store, OTHER, 0.7)
    else:
        transaction.begin(store, "risky", deadline=0.7)
        transaction.bring(store, "server", OTHER.server, backend=None, transaction="risky", purge=True)
        store.open("risky", 0.7)
    waiting = threading.Thread(target=awaiting.run, args=(argparse.Namespace(identifier="risky"), store.system))
    waiting.start()
    time.sleep(1.5 * awaiting.LOOK)
    assert waiting.is_alive()
    later(0.7)
    waiting.join(60)
    assert not waiting.is_alive()
    assert store.generation() == state()
    assert kernel.there["server"] == {"alice"}


@pytest.mark.parametrize("committed", [True, False])
def test_what_a_killed_run_had_rehearsed_goes_with_it(
    kernel: Kernel, store: Store, later: Callable[[float], None], committed: bool
) -> None:
    """It has keys."""
    transaction.begin(store, "risky", deadline=0.1)
    rehearsal.keep(store, "risky", rehearsal.packed(OTHER))
    if committed:
        steps(store, OTHER, "risky")
        transaction.commit(store, "risky", OTHER.numbers, confirm=0.1)
    later(0.2)
    transaction.begin(store, "next")
    assert not (store.system.runtime / "rehearsed").exists()


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


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_somebody_sets_is_of_no_account(
    kernel: Kernel, store: Store, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    run(store, state())
    commit(store, OTHER, 0.5)
    monkeypatch.setattr(store.system, "now", lambda: time.time() + 3600 * hours)
    with store.lock():
        assert not transaction.end_expired(store)
        later(0.6)
        assert transaction.end_expired(store)
    transaction.begin(store, "abandoned", 0.2)
    monkeypatch.setattr(store.system, "now", lambda: time.time() - 3600 * hours)
    with store.lock():
        assert not transaction.end_expired(store)
        later(0.3)
        assert transaction.end_expired(store)
    is_as_before(kernel, store, state())


def test_a_damaged_record_of_a_run_is_one_whose_time_is_up(kernel: Kernel, store: Store) -> None:
    run(store, state())
    transaction.begin(store, "abandoned")
    steps(store, OTHER, "abandoned")
    (store.system.runtime / "transaction.json").write_text('{"id": "ab')
    assert awaiting.run(argparse.Namespace(identifier="abandoned"), store.system) == 0
    assert kernel.there["server"] == {"alice"}


def test_after_a_reboot_there_is_a_guard_whatever_became_of_the_generation_before(
    kernel: Kernel, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(store, state())
    commit(store, OTHER)
    (store.system.configuration / "state.confirmed.json").write_text("{")
    reboot(store)
    guarded: list[State] = []
    monkeypatch.setattr(boot, "restore_early", lambda store: guarded.append(store.generation()) or boot.Healing())
    assert boot.run(argparse.Namespace(early=True), store.system) == 0
    assert guarded == [OTHER]
    assert "state.confirmed.json" in capsys.readouterr().err


def test_what_it_went_back_to_has_a_copy(kernel: Kernel, store: Store) -> None:
    run(store, state())
    commit(store, OTHER)
    transaction.roll_back(store, "risky")
    with (store.system.configuration / "state.json").open("r+") as file:
        file.truncate(10)
    assert store.generation() == state()


def test_going_back_needs_no_room_on_the_disk(kernel: Kernel, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, state())
    commit(store, OTHER)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.system, "write_file", full)
    transaction.roll_back(store, "risky")
    is_as_before(kernel, store, state())


class Killed(BaseException):
    """The process ends here."""


def killed_after(writes: int) -> dict[str, Callable[..., None]]:
    """Return what changes files, of which no more than so many calls are done."""
    left = [writes]

    def counted(do: Callable[..., None]) -> Callable[..., None]:
        def change(*arguments: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            do(*arguments)

        return change

    return {name: counted(getattr(System, name)) for name in ("write_file", "link_file", "remove_file")}


@pytest.mark.parametrize("before", [state(), State()], ids=["a generation", "nothing"])
def test_killed_at_any_step_it_goes_back_all_the_same(
    kernel: Kernel, store: Store, monkeypatch: pytest.MonkeyPatch, before: State
) -> None:
    """At each write of the commit and of what follows; whoever comes next finishes."""
    later, writes, killed = [0.0], 0, True
    monkeypatch.setattr("os.fsync", lambda _: None)  # hundreds of them
    monkeypatch.setattr(store.system, "uptime", lambda: time.monotonic() + later[0])
    run(store, before)
    while killed:
        transaction.begin(store, "risky", deadline=60)
        steps(store, OTHER, "risky")
        with monkeypatch.context() as patch:
            for name, change in killed_after(writes).items():
                patch.setattr(System, name, change)
            try:
                transaction.commit(store, "risky", OTHER.numbers, confirm=60)
                later[0] += 61
                with store.lock():
                    transaction.end_expired(store)
                killed = False
            except Killed:
                later[0] += 61
        for _ in range(2):  # the run, and that it waits
            with store.lock():
                transaction.end_expired(store)
        assert store.generation() == before
        run(store, before, "next")
        is_as_before(kernel, store, before)
        writes += 1
    assert writes > 10
