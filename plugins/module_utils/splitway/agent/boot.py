# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway restore`: the whole generation is brought back, as after a reboot.

At boot that is done twice. Early, before there is a network: floors, guards, sets and chains. Then, by the agent:
tunnels, their routes, the addresses that names had, dnsmasq; and wg0 last, when nothing that comes in can go
a wrong way any more. What cannot be brought back is tried again by the agent and keeps nothing else waiting.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Optional

from .. import audit
from ..failures import FAILURES
from ..present import present
from ..reconcile.base import Change, additions
from ..reconcile.routes.sysctl import Setting
from ..reconcile.sections import RECONCILERS
from ..state import SECTIONS, State
from ..store import Held, Store
from ..system import System
from .errors import AgentError
from .healing.heal import VERDICT, Healing, Refill, heal

HELP = "bring everything back, as after a reboot"

_SECTIONS = tuple(section for section in SECTIONS if section != "agent")  # it runs already


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--early", action="store_true", help="floors, guards, sets and chains only: before there is a network"
    )


def run(options: argparse.Namespace, system: System) -> int:
    """Restore; say what changed. Raises AgentError when there is nothing to restore, or something cannot be."""
    store = Store(system)
    if options.early:
        _go_back(store)
    state, problem = store.generation_or_previous()
    if problem:
        sys.stderr.write(f"splitway: {problem}\n")
    if state == State():
        if options.early:
            return 0
        raise AgentError("this host has no state: run site.yml")
    done = restore_early(store) if options.early else _restore(store)
    if done.busy:
        raise AgentError("a run of site.yml is changing this gateway: try again when it has ended")
    for changes in done.changes.values():
        for change in changes:
            sys.stdout.write(f"{change.action} {change.what}\n")
    if done.failures:
        raise AgentError("; ".join(f"{section}: {failure}" for section, failure in done.failures.items()))
    return 0


def _go_back(store: Store) -> None:
    """Let the generation before one that was not confirmed be in force, from the first packet on.

    The agent then rolls that run back whole, when services can be stopped and started.
    """
    try:
        with store.lock(patience=0):
            if store.overdue() is not None:
                store.go_back()
    except Held:
        pass
    except FAILURES as error:  # the guard of the generation that there is is better than none
        sys.stderr.write(f"splitway: {error}\n")


def _restore(store: Store) -> Healing:
    # Not above: early at boot neither is needed, and whatever they need may be missing.
    from .names.journal import Journal, location
    from .names.learning import Learning

    journal = Journal(location(store.system))
    try:
        return restore(store, Learning(store, journal).refill)
    finally:
        journal.close()


def restore_early(store: Store) -> Healing:
    """Bring in floors, guards, sets and chains. Each is tried; forwarding is not switched on yet.

    An uplink that comes up while forwarding is on takes no router advertisement, unless told otherwise before.
    """
    done: dict[str, tuple[Change, ...]] = {}
    failures: dict[str, str] = {}
    try:
        with store.lock(patience=0):
            if store.transaction() is not None:
                return Healing(busy=True)
            state = store.generation(VERDICT)
            for section in VERDICT:
                try:
                    done[section] = _bring_early(store, section, present(store, state))
                except FAILURES as error:
                    failures[section] = str(error)
    except Held:
        return Healing(busy=True)
    return _recorded(store, Healing(changes=_something(done), failures=failures))


def _bring_early(store: Store, section: str, state: State) -> tuple[Change, ...]:
    changes = additions(RECONCILERS[section].changes(store.system, state))
    changes = tuple(change for change in changes if not isinstance(change.payload, Setting))
    RECONCILERS[section].apply(store.system, changes)
    return changes


def restore(store: Store, refill: Refill, state: Optional[Callable[[], State]] = None) -> Healing:
    """Bring the whole generation back, wg0 last. On a gateway where all is well nothing changes.

    `state` gives the generation where it is in memory already.
    """
    done = heal(store, state or store.generation, _SECTIONS, refill)
    return done if done.busy else _recorded(store, done)


def _something(changes: Mapping[str, tuple[Change, ...]]) -> dict[str, tuple[Change, ...]]:
    return {section: these for section, these in changes.items() if these}


def _recorded(store: Store, done: Healing) -> Healing:
    """Keep a record of each section that was brought back, or could not be."""
    reason = audit.Reason("agent", "restored")
    concerned = [section for section in SECTIONS if section in done.changes or section in done.failures]
    if not concerned:
        return done
    state = store.generation({name for section in concerned for name in audit.NAMED_IN[section]})
    for section in concerned:
        changes, failure = done.changes.get(section, ()), done.failures.get(section, "")
        audit.record(store.system, audit.Entry(reason, section, changes, failure, (state,)), store.system.now())
    return done
