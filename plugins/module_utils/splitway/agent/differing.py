# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings what differs between two states into the kernel, by the reconcilers, and nothing else.

What else is out of order is for healing, or for the run of site.yml that may have the gateway at this moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..failures import FAILURES
from ..reconcile.base import Change, additions, removals
from ..reconcile.sections import RECONCILERS
from ..state import State
from ..store import Store


def bring(
    store: Store, sections: Sequence[str], state: State, old: State, new: State, failures: list[Exception]
) -> dict[str, tuple[Change, ...]]:
    """Apply what differs between two states: additions in order, removals in reverse; return it by section.

    `state`: what both were made of. Each section is tried; what fails is added to `failures`.
    """
    caused: dict[str, tuple[Change, ...]] = {}
    for section in sections:
        if getattr(old, section) == getattr(new, section):
            continue
        reconciler = RECONCILERS[section]
        try:
            # Read by the state that both were made of: it names every interface that either of the two may need.
            current = reconciler.read(store.system, state)
            anyway = reconciler.plan(old, current)
            planned = tuple(change for change in reconciler.plan(new, current) if change not in anyway)
            reconciler.apply(store.system, additions(planned))
            caused[section] = planned
        except FAILURES as error:
            failures.append(error)
    for section in reversed(sections):
        if section in caused:
            try:
                RECONCILERS[section].apply(store.system, removals(caused[section]))
            except FAILURES as error:
                failures.append(error)
    return caused
