# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's life: its sections are brought into the kernel one at a time, and committed, confirmed or rolled back.

In a transaction a section's additions and changes are made at once and staged; all removals wait
for the commit and go in reverse order. So a run never opens a window in which a client's packet
leaves by a way that its policy does not allow.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import suppress
from typing import Any, Optional

from . import audit, moment
from .applying import apply, apply_each, open_ports, restore
from .audit import Reason
from .joining import join
from .owed import give_back, give_new
from .present import present
from .reconcile.base import Change, additions, removals
from .reconcile.sections import RECONCILERS, move_flows
from .rehearsal import forget
from .state import SECTIONS, State
from .store import DEADLINE, Store, StoreError, Transaction
from .unconfirmed import Unconfirmed


def begin(
    store: Store, identifier: str, deadline: float = DEADLINE, wait: float = 0, who: str = Transaction.who
) -> Transaction:
    """Open a transaction, waiting up to `wait` seconds for another run to end. `who` is named in the audit.

    A run whose time is up is rolled back first. Raises StoreError when another is open, or waits to be confirmed.
    """
    give_up = time.monotonic() + wait
    while True:
        with store.lock():
            end_expired(store, but=identifier)
            current = store.transaction()
            if store.unconfirmed() is None and (current is None or current.id == identifier):
                return store.open(identifier, deadline, who)
            if time.monotonic() >= give_up:
                store.require(identifier)
        time.sleep(0.5)


def end_expired(store: Store, but: Optional[str] = None) -> bool:
    """Roll back a run (`but` this one) whose time to end or to be confirmed is up; return whether there was one.

    Call with the lock held.
    """
    overdue = store.overdue()
    if overdue is not None:
        _revert(store, overdue, "was not confirmed and is rolled back")
        return True
    current = store.transaction()
    if current is None or current.id == but or not current.expired(store.system.uptime()):
        return False
    reason = Reason(current.who, f"run {current.id} was abandoned and is rolled back")
    restore(store, store.staged(_VERDICT), store.generation(), reason)
    store.close()
    _forget(store, current.id)
    return True


def _forget(store: Store, identifier: str) -> None:
    """Remove what a run had rehearsed, which its own end did not: it has keys."""
    with suppress(StoreError):  # a run of unknown name
        forget(store, identifier)


def _revert(store: Store, run: Unconfirmed, why: str) -> tuple[Change, ...]:
    """Apply the generation before a run that is not confirmed, and publish it. Raises StoreError when it is damaged."""
    try:
        before = store.confirmed()
    except StoreError:
        store.confirm()  # there is nothing to go back to, now or later
        raise
    done = False
    try:
        changes = restore(store, store.staged(_VERDICT), before, Reason(run.who, f"run {run.id} {why}"))
        done = True
        return changes
    finally:
        store.go_back()
        store.close()
        _forget(store, run.id)
        if done or before != State():  # what could not be brought back now is healed; with no agent, tried again
            store.confirm()


def bring(
    store: Store, section: str, desired: Any, *, backend: Optional[str], transaction: Optional[str], purge: bool
) -> tuple[Change, ...]:
    """Bring one section into the kernel, alone (transaction None) or as a step of one; return what that changed.

    With `purge`, what is ours and not desired is removed: at once when alone, else by the commit.
    Without it, what is there stays, in the kernel and in the generation.
    """
    with store.lock():
        if transaction is None:
            end_expired(store)
        store.require(transaction)
        before = _before(store, section, transaction, backend, purge)
        target = _target(before, section, desired, backend, purge)
        chosen = present(store, target)
        changes, ports = RECONCILERS[section].changes(store.system, chosen), store.kept.ports.read()
        wanted = changes if purge else additions(changes)
        if transaction is None:
            apply(store, section, wanted, Reason(Transaction.who, "a module used alone"), target)
            if section == "sets":
                give_back(store, wanted)
            if section in _VERDICT:
                move_flows(store.system, _until_now(store, before), chosen)
            store.publish_section(section, getattr(target, section), target.backend)
            if store.kept.ports.read() != ports:
                open_ports(store, store.generation(("marks",)), Reason(Transaction.who, "a module used alone"))
        else:
            # Staged before it is applied: should that fail half-way, the roll back knows what flows may have begun.
            store.staging.stage(section, getattr(target, section), backend, bool(removals(wanted)))
            if section == "marks" and store.stages(("dns",)):
                give_new(store)
            apply(store, section, additions(changes), _run(store), target)
            if section == "sets":
                give_back(store, changes)
            if section == "marks":  # the sets that these chains name are staged already
                _move_flows(store, chosen)
            if store.kept.ports.read() != ports:
                open_ports(store, store.staged(("marks",)), _run(store))
            store.require(transaction)  # the time to the next step begins now
        return wanted


def _move_flows(store: Store, chosen: State) -> None:
    """Delete the connections whose way differs between the generation and what is staged, with the choices."""
    if store.stages(_VERDICT) or store.kept.choices.read():
        new = dataclasses.replace(chosen, sets=present(store, store.staged(("sets",))).sets)
        move_flows(store.system, _until_now(store, store.generation(_VERDICT)), new)


def _until_now(store: Store, state: State) -> State:
    """Return the state by which flows began: as it was at the moment whose rules are in the kernel."""
    return present(store, state, {}, moment.last(store.system))


def preview(store: Store, section: str, desired: Any, *, backend: Optional[str], purge: bool) -> tuple[Change, ...]:
    """Return what `bring` would change now: the same plan, nothing applied (check mode)."""
    target = _target(store.staged(_joined(section, purge)), section, desired, backend, purge)
    changes = RECONCILERS[section].changes(store.system, present(store, target))
    return changes if purge else additions(changes)


def commit(
    store: Store, identifier: str, numbers: dict[str, int], source: str = "", confirm: float = 0
) -> tuple[Change, ...]:
    """Remove what is no longer wanted, in reverse order, and publish the new generation; return the removals.

    With `confirm`, a run that changed something goes back by itself unless it is confirmed in so many seconds.
    """
    with store.lock():
        store.require(identifier)
        changes = _remove_staged(store)
        if confirm and store.stages(SECTIONS):
            run = Unconfirmed(identifier, _run(store).who, store.system.uptime() + confirm)
            store.keep_until_confirmed(run)
        store.publish_staged(numbers, source)
        store.close()
        return changes


def confirm(store: Store, identifier: str) -> None:
    """Keep the generation of a run that was committed. Raises StoreError when the run is rolled back already."""
    with store.lock():
        waiting = store.unconfirmed()
        if waiting is None or waiting.id != identifier or store.overdue():
            raise StoreError(f"run {identifier} was not confirmed in time: the generation before it is in force again")
        store.confirm()


def _remove_staged(store: Store) -> tuple[Change, ...]:
    """Remove what the steps of the transaction left, of no other section: they found nothing to remove there."""
    sections = store.staging.removing()
    if not sections:
        return ()
    # What came by a WebSocket until its end may have taken its tunnel along: WireGuard follows its peers.
    astray = ("upstreams",) if "transports" in sections else ()
    state = store.staged({name for section in (*sections, *astray) for name in (section, *audit.NAMED_IN[section])})
    removed = apply_each(store, state, reversed(sections), removals, _run(store))
    return removed + apply_each(store, state, astray, additions, _run(store))


def roll_back(store: Store, identifier: str) -> tuple[Change, ...]:
    """Apply the last generation again and end the run; nothing when it is not open, nor waits to be confirmed."""
    with store.lock():
        waiting = store.unconfirmed()
        if waiting is not None and waiting.id == identifier:
            return _revert(store, waiting, "failed its tests and is rolled back")
        current = store.transaction()
        if current is None:
            return ()
        store.require(identifier)
        reason = Reason(current.who, f"run {identifier} failed and is rolled back")
        changes = restore(store, store.staged(_VERDICT), store.generation(), reason)
        store.close()
        return changes


def remove_all(store: Store, who: str = Transaction.who) -> tuple[Change, ...]:
    """Remove everything that is ours from the kernel, and the generation."""
    with store.lock():
        if store.overdue() is None:  # else it goes with all the rest
            end_expired(store)
        store.confirm()
        store.require(None)
        changes = restore(store, State(), State(), Reason(who, "everything is removed"))
        store.publish(State())
        return changes


def _run(store: Store) -> Reason:
    """Return the reason of a step of the open transaction."""
    current = store.transaction()
    return Reason(Transaction.who, "") if current is None else Reason(current.who, f"run {current.id}")


_VERDICT = ("sets", "marks")  # the sections that decide which way a flow goes


def _before(store: Store, section: str, transaction: Optional[str], backend: Optional[str], purge: bool) -> State:
    """Return what bringing a section needs to know of what there was; a step that replaces all of it needs nothing."""
    if transaction is None and section in _VERDICT:
        return store.staged(_VERDICT)
    if transaction is not None and purge and (backend is not None or section not in _VERDICT):
        return State()
    return store.staged(_joined(section, purge))


def _joined(section: str, purge: bool) -> tuple[str, ...]:
    """Return the sections of what is staged that bringing this one is joined with; fewer are faster read."""
    return () if purge else (section,)


def _target(before: State, section: str, desired: Any, backend: Optional[str], purge: bool) -> State:
    """Return the state with the desired section in place, joined with what was there unless purged."""
    value = desired if purge else join(getattr(before, section), desired)
    return dataclasses.replace(before, **{section: value, "backend": backend or before.backend})
