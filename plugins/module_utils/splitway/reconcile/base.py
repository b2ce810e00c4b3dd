# SPDX-License-Identifier: GPL-3.0-or-later
"""What all reconcilers share: the Change, and the error they raise.

A reconciler is a Python module with three functions over one section of the state:

* ``read(system, desired) -> Current``: what the kernel has now, of what is ours or concerns us;
* ``plan(desired, current) -> tuple[Change, ...]``: pure; additions and changes first, then removals;
* ``apply(system, changes) -> None``: carries out exactly these changes, in their order.

``plan`` is where idempotence, check mode and diff come from. Laws: ``plan(d, read after apply) == ()``;
nothing that is not ours is changed or removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ADD, CHANGE, REMOVE = "add", "change", "remove"


class ReconcileError(Exception):
    """The host cannot be brought to the desired section; the message names the entry and what to do."""


@dataclass(frozen=True)
class Change:
    """One change of the kernel or of a file. `before` and `after` are lines for people, without secrets."""

    action: str  # ADD | CHANGE | REMOVE
    what: str  # e.g. "rule 5030 fwmark 0x2065/0x3fff lookup 101 (v4)"
    before: str = ""
    after: str = ""
    payload: Any = None  # what apply needs; never shown


def additions(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the changes that a transaction makes at once: all but the removals."""
    return tuple(change for change in changes if change.action != REMOVE)


def removals(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the changes that a transaction keeps for its commit."""
    return tuple(change for change in changes if change.action == REMOVE)
