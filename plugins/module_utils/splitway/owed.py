# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run owes learned sets that it made anew because somebody had taken them away: what the journal says.

The agent does the same when it heals. Here nobody else may: it waits for the run to end, or is not there. A connection
that a client began before goes on being tried, and must not find chains without its address.
"""

from __future__ import annotations

import time

from .agent.names import learned
from .agent.names.journal import Journal, location
from .reconcile.base import ADD, Change
from .store import Store


def give_back(store: Store, changes: tuple[Change, ...]) -> None:
    """Refill the learned sets of the generation that these changes of the section `sets` made.

    Call with the lock held. Raises ReconcileError, StoreError and SystemFailure.
    """
    path = location(store.system)
    if not path.exists():
        return
    made = {change.payload.desired.name for change in changes if change.action == ADD}
    if not made:
        return
    state = store.generation(("sets", "dns", "agent"))
    gone = [item.name for item in state.sets if item.timeout is not None and item.name in made]
    if not gone or state.dns is None or state.agent is None:
        return
    journal = Journal(path)
    try:
        names = learned.Names(state.dns.lines, learned.local_names(store.system))
        learned.refill(store.system, state, journal, names, time.time(), gone)
    finally:
        journal.close()
