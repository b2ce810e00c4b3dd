# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions over a pretended kernel: order, staging, commit, roll back, the lock."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from splitway import applying, audit, transaction
from splitway import store as store_module
from splitway.reconcile.base import (
    ReconcileError,
)
from splitway.state import (
    AddressSet,
    State,
)
from splitway.store import Store, StoreError

sys.path.insert(0, str(Path(__file__).parent))
from pretended import Kernel, kernel, run, state, steps, store

__all__ = ["kernel", "store"]


def test_additions_go_in_order_and_removals_wait_for_the_commit_in_reverse(kernel: Kernel, store: Store) -> None:
    run(store, state())
    kernel.log.clear()
    run(store, state(upstream="wg-up-2", list_="sw4d2", client="bob"))
    assert kernel.log == [
        *("add wg-up-2", "add table 102", "add sw4d2", "add line sw4d2", "add chain sw4d2", "add bob"),
        *(
            "remove alice",
            "remove chain sw4d1",
            "remove line sw4d1",
            "remove sw4d1",
            "remove table 101",
            "remove wg-up-1",
        ),
    ]
    assert store.generation() == state(upstream="wg-up-2", list_="sw4d2", client="bob")
    assert store.transaction() is None


def test_a_commit_looks_only_at_what_has_something_to_remove(kernel: Kernel, store: Store) -> None:
    run(store, state())
    transaction.begin(store, "run")
    steps(store, state(list_="sw4d2"))
    kernel.looked.clear()
    transaction.commit(store, "run", state().numbers)
    assert kernel.looked == ["marks", "dns", "sets"]
    assert store.generation() == state(list_="sw4d2")


def test_flows_are_judged_when_lists_or_policies_change_and_only_then(
    kernel: Kernel, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store, state())
    moved: list[tuple[State, State]] = []
    monkeypatch.setattr(transaction, "move_flows", lambda _system, old, new: moved.append((old, new)))
    run(store, state(client="bob"))
    assert moved == []
    run(store, state(list_="sw4d2"))
    ((old, new),) = moved
    assert [(entry.sets[0].name, list(entry.marks.networks)) for entry in (old, new) if entry.marks] == [
        ("sw4d1", ["chain sw4d1"]),
        ("sw4d2", ["chain sw4d2"]),
    ]


def test_the_backend_is_that_of_the_sections_that_have_one(kernel: Kernel, store: Store) -> None:
    wanted = dataclasses.replace(state(), backend="nftables")
    run(store, wanted)
    assert store.generation() == wanted


def test_a_second_run_changes_nothing(kernel: Kernel, store: Store) -> None:
    run(store, state())
    kernel.log.clear()
    run(store, state())
    assert kernel.log == []


@pytest.mark.parametrize("broken", ["table 102", "line sw4d2", "bob"])
def test_a_failed_run_leaves_the_host_as_it_was(kernel: Kernel, store: Store, broken: str) -> None:
    run(store, state())
    before = {section: set(names) for section, names in kernel.there.items()}
    kernel.broken = broken
    transaction.begin(store, "run")
    with pytest.raises(ReconcileError, match=broken):
        steps(store, state(upstream="wg-up-2", list_="sw4d2", client="bob"))
    kernel.broken = ""
    transaction.roll_back(store, "run")
    assert kernel.there == before
    assert store.generation() == state()
    assert store.transaction() is None


def test_a_failed_first_run_leaves_nothing(kernel: Kernel, store: Store) -> None:
    kernel.broken = "alice"
    transaction.begin(store, "run")
    with pytest.raises(ReconcileError):
        steps(store, state())
    transaction.roll_back(store, "run")
    assert not any(kernel.there.values())
    assert list(store.system.configuration.glob("*")) == []


def test_two_runs_do_not_mix(kernel: Kernel, store: Store) -> None:
    transaction.begin(store, "first")
    with pytest.raises(StoreError, match="another run, first, is changing this gateway"):
        transaction.begin(store, "second")
    with pytest.raises(StoreError, match="another run, first"):
        transaction.bring(store, "sets", (), backend=None, transaction="second", purge=True)
    with pytest.raises(StoreError, match="another run, first"):
        transaction.bring(store, "sets", (), backend=None, transaction=None, purge=True)
    transaction.commit(store, "first", {})
    with pytest.raises(StoreError, match="the transaction first is not open"):
        transaction.bring(store, "sets", (), backend=None, transaction="first", purge=True)


def test_an_abandoned_transaction_is_rolled_back_by_the_next(
    kernel: Kernel, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store, state())
    transaction.begin(store, "abandoned")
    steps(store, state(upstream="wg-up-2"), "abandoned")
    later = store.system.uptime() + store_module.DEADLINE + 1
    monkeypatch.setattr(store.system, "uptime", lambda: later)
    transaction.begin(store, "next")
    assert kernel.there["upstreams"] == {"wg-up-1"}
    transaction.commit(store, "next", {"egress:us": 101})
    assert store.generation() == state()


def test_a_step_may_take_longer_than_the_time_between_two(
    kernel: Kernel, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = [0.0]
    monkeypatch.setattr(store.system, "uptime", lambda: time.monotonic() + later[0])

    def slow(*_: object) -> None:
        later[0] += 1000

    transaction.begin(store, "slow")
    monkeypatch.setattr(transaction, "apply", slow)
    transaction.bring(store, "sets", state().sets, backend=None, transaction="slow", purge=True)
    with store.lock():
        assert not transaction.end_expired(store)


def test_each_step_renews_the_time_that_a_run_asked_for(kernel: Kernel, store: Store) -> None:
    transaction.begin(store, "slow", deadline=1000)
    for _ in range(2):
        before = store.system.uptime()
        transaction.bring(store, "sets", (), backend=None, transaction="slow", purge=True)
        current = store.transaction()
        assert current
        assert current.deadline == pytest.approx(before + 1000, abs=5)


def test_alone_a_module_keeps_the_others_unless_told_to_purge(kernel: Kernel, store: Store) -> None:
    run(store, state())
    more = (AddressSet("sw4d2", 4, 60),)
    transaction.bring(store, "sets", more, backend=None, transaction=None, purge=False)
    assert kernel.there["sets"] == {"sw4d1", "sw4d2"}
    assert {entry.name for entry in store.generation().sets} == {"sw4d1", "sw4d2"}
    transaction.bring(store, "sets", more, backend=None, transaction=None, purge=True)
    assert kernel.there["sets"] == {"sw4d2"}
    assert store.generation().sets == more


def test_check_mode_plans_the_same_and_writes_nothing(kernel: Kernel, store: Store) -> None:
    run(store, state())
    wanted = (AddressSet("sw4d2", 4, 60),)
    files = {path: path.read_bytes() for path in store.system.configuration.rglob("*")}
    kernel.log.clear()
    planned = transaction.preview(store, "sets", wanted, backend=None, purge=True)
    assert kernel.log == []
    assert {path: path.read_bytes() for path in store.system.configuration.rglob("*")} == files
    assert planned == transaction.bring(store, "sets", wanted, backend=None, transaction=None, purge=True)


def test_removing_all_leaves_nothing(kernel: Kernel, store: Store) -> None:
    run(store, state())
    transaction.remove_all(store)
    assert not any(kernel.there.values())
    assert store.generation() == State()


def test_a_damaged_generation_is_reported_and_nothing_is_done(kernel: Kernel, store: Store) -> None:
    run(store, state())
    path = store.system.configuration / "state.json"
    path.write_text(path.read_text()[:-20])
    kernel.log.clear()
    with pytest.raises(StoreError, match=r"state\.json is damaged"):
        transaction.bring(store, "sets", (), backend=None, transaction=None, purge=True)
    assert kernel.log == []


def test_the_generation_is_for_root_only(kernel: Kernel, store: Store) -> None:
    run(store, state())
    assert (store.system.configuration / "state.json").stat().st_mode & 0o777 == 0o600


def audited(store: Store) -> list[tuple[str, str, str, dict[str, int]]]:
    lines = map(json.loads, audit.path(store.system).read_text().splitlines())
    return [(line["who"], line["why"], line["section"], line["counts"]) for line in lines]


def test_each_section_that_changes_leaves_one_record(kernel: Kernel, store: Store) -> None:
    run(store, state())
    audit.path(store.system).unlink()
    transaction.begin(store, "next", who="ansible as joe")
    steps(store, dataclasses.replace(state(), sets=(AddressSet("sw4d2", 4, 60),), dns=None), "next")
    transaction.commit(store, "next", {})
    assert audited(store) == [
        ("ansible as joe", "run next", "sets", {"add": 1}),
        ("ansible as joe", "run next", "dns", {"remove": 1}),
        ("ansible as joe", "run next", "sets", {"remove": 1}),
    ]
    run(store, dataclasses.replace(state(), sets=(AddressSet("sw4d2", 4, 60),), dns=None))
    transaction.preview(store, "sets", (), backend=None, purge=True)
    assert len(audited(store)) == 3, "what changes nothing is no change"


def test_a_failed_run_is_recorded_with_its_roll_back(kernel: Kernel, store: Store) -> None:
    kernel.broken = "sw4d1"
    transaction.begin(store, "run")
    with pytest.raises(ReconcileError):
        steps(store, state())
    transaction.roll_back(store, "run")
    transaction.remove_all(store, "ansible as joe")
    lines = [json.loads(line) for line in audit.path(store.system).read_text().splitlines()]
    assert [(line["section"], line.get("failure")) for line in lines] == [
        ("upstreams", None),
        ("routes", None),
        ("sets", "sw4d1 cannot be made"),
        ("routes", None),
        ("upstreams", None),
    ]
    assert {line["why"] for line in lines[3:]} == {"run run failed and is rolled back"}


def test_an_audit_that_cannot_be_written_fails_no_run(kernel: Kernel, store: Store) -> None:
    store.system.log.write_text("a file where the folder should be")
    run(store, state())
    assert store.generation() == state()


def test_drift_is_looked_for_when_nobody_is_at_work(kernel: Kernel, store: Store) -> None:
    run(store, state())
    kernel.there["sets"].clear()
    found: list[Any] = []
    looking = threading.Thread(target=lambda: found.append(applying.drift(store, state(), ["sets"])))
    with store.lock():
        looking.start()
        looking.join(0.2)
        kernel.there["sets"].add("sw4d1")  # healed
    looking.join(60)
    assert found == [{"sets": ()}]
