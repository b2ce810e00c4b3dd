# SPDX-License-Identifier: GPL-3.0-or-later
"""Applying a state to the kernel, all of it or a section, with a record of each; and what that would change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Optional

from . import audit
from .audit import Reason
from .failures import FAILURES
from .owed import give_back
from .present import present
from .reconcile.base import Change, ReconcileError, additions, removals
from .reconcile.sections import RECONCILERS, move_flows
from .state import SECTIONS, State
from .store import Store, StoreError


def restore(store: Store, left: State, state: State, reason: Reason) -> tuple[Change, ...]:
    """Bring a whole state into the kernel: additions in order, then removals in reverse.

    Flows that began by the rules of `left` and take another way by those of the state are ended in between.
    Every section is tried; the first failure is raised when all have been.
    """
    failures: list[Exception] = []
    changes = apply_each(store, state, SECTIONS, additions, reason, failures)
    try:
        move_flows(store.system, present(store, left, {}), present(store, state))
    except FAILURES as error:
        failures.append(error)
    changes += apply_each(store, state, reversed(SECTIONS), removals, reason, failures)
    if failures:
        raise failures[0]
    return changes


def rehearse(store: Store, state: State) -> None:
    """Plan every section of a state and apply nothing.

    Raises ReconcileError with everything on the host that is in the way, before anything is changed.
    """
    obstacles = []
    chosen = present(store, state)
    for section in SECTIONS:
        try:
            RECONCILERS[section].changes(store.system, chosen)
        except FAILURES as error:
            obstacles.append(str(error))
    if obstacles:
        raise ReconcileError("\n".join(obstacles))


def drift(store: Store, state: State, sections: Iterable[str] = SECTIONS) -> dict[str, tuple[Change, ...]]:
    """Return, by section, what would have to change for the kernel to be as the state, with the choices, says."""
    # What somebody changes or heals at this moment is half there. On a host that nobody has changed nothing is made.
    with store.lock() if store.system.runtime.exists() else nullcontext():
        chosen = present(store, state)
        return {section: RECONCILERS[section].changes(store.system, chosen) for section in sections}


def drift_or_why(store: Store, state: State) -> tuple[dict[str, tuple[Change, ...]], dict[str, str]]:
    """Return the drift of each section that can be compared, and why the others cannot."""
    found: dict[str, tuple[Change, ...]] = {}
    failures: dict[str, str] = {}
    with store.lock() if store.system.runtime.exists() else nullcontext():
        chosen = present(store, state)
        for section in SECTIONS:
            try:
                found[section] = RECONCILERS[section].changes(store.system, chosen)
            except FAILURES as error:
                failures[section] = str(error)
    return found, failures


def apply_each(
    store: Store,
    state: State,
    sections: Iterable[str],
    choose: Callable[[tuple[Change, ...]], tuple[Change, ...]],
    reason: Reason,
    failures: Optional[list[Exception]] = None,
) -> tuple[Change, ...]:
    """Apply what `choose` takes of each section's changes; return it.

    The first failure ends that, or, with a list of `failures`, is added to it and the other sections are tried.
    """
    done: tuple[Change, ...] = ()
    chosen = present(store, state)
    for section in sections:
        try:
            changes, ports = choose(RECONCILERS[section].changes(store.system, chosen)), store.kept.ports.read()
            apply(store, section, changes, reason, chosen)
            done += changes
            if section == "sets":
                give_back(store, changes, chosen)
            if store.kept.ports.read() != ports:  # picked now: a tunnel begins there, or clients are to reach it
                chosen = present(store, state)
                open_ports(store, state, reason)
        except FAILURES as error:
            if failures is None:
                raise
            failures.append(error)
    return done


def open_ports(store: Store, state: State, reason: Reason) -> None:
    """Open to clients the ports that daemons have chosen just now: chains are there before daemons."""
    if state.marks is not None:
        chosen = present(store, state)
        apply(store, "marks", additions(RECONCILERS["marks"].changes(store.system, chosen)), reason, chosen)


def apply(store: Store, section: str, changes: tuple[Change, ...], reason: Reason, state: State) -> None:
    """Carry out the changes of one section, and keep a record of them, also when that fails."""
    failure = ""
    try:
        RECONCILERS[section].apply(store.system, changes)
    except FAILURES as error:
        failure = str(error)
        raise
    finally:
        if changes or failure:
            entry = audit.Entry(reason, section, changes, failure, (*_named(store, section), state))
            audit.record(store.system, entry, store.system.now())


def _named(store: Store, section: str) -> tuple[State, ...]:
    """Return the generation's sections that say how the objects are called which are no longer in the new one."""
    try:
        return (store.generation(audit.NAMED_IN[section]),)
    except StoreError:  # it is damaged, which is not the audit's to say
        return ()
