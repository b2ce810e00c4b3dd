# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run owes learned sets that it made, or made anew as it goes back: what the journal says of their names.

The agent does the same when it heals. Here nobody else may: it waits for the run to end, or is not there. A connection
that a client began before goes on being tried, and must not find chains without its address.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Optional

from .agent.names import learned
from .agent.names.journal import Journal, location
from .reconcile.base import ADD, Change
from .state import State
from .store import Store


def give_back(store: Store, changes: tuple[Change, ...], state: Optional[State] = None) -> None:
    """Refill the sets that these changes, of the section `sets`, made anew: they had been taken away.

    `state`: what the changes bring back, left out: the generation.

    Call with the lock held. Raises ReconcileError, StoreError and SystemFailure.
    """
    if not location(store.system).exists():
        return
    made = {change.payload.desired.name for change in changes if change.action == ADD}
    if not made:
        return
    if state is None:
        state = store.generation(("sets", "dns", "agent"))
    gone = [item.name for item in state.sets if item.timeout is not None and item.name in made]
    _refill(store, state, gone)


def give_new(store: Store) -> None:
    """Fill the learned sets that are staged and not in the generation, before chains look at them.

    A name that is on another set now, for its rule has other conditions or leads elsewhere, would be on none until
    somebody asks for it, and its packets would take the default's way.

    Call with the lock held. Raises ReconcileError, StoreError and SystemFailure.
    """
    if not location(store.system).exists():
        return
    before = {item.name for item in store.generation(("sets",)).sets}
    wanted = (item for item in store.staged(("sets",)).sets if item.timeout is not None)
    new = [item.name for item in wanted if item.name not in before]
    if new:
        _refill(store, store.staged(("sets", "dns", "agent")), new)


def _refill(store: Store, state: State, wanted: Collection[str]) -> None:
    if not wanted or state.dns is None or state.agent is None:
        return
    journal = Journal(location(store.system))
    try:
        names = learned.Names(state.dns.lines, learned.local_names(store.system))
        learned.refill(store.system, state, journal, names, store.system.now(), wanted)
    finally:
        journal.close()
