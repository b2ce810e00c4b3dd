# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import did, or would do, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from .changes import Change
from .importing import Outcome

MOST_NAMES = 20  # in one line; the rest is counted


def report(outcome: Outcome, *, partial: bool) -> list[str]:
    """Return the lines: what is refused and why, what there is to know, what changes."""
    lines = [*map(str, outcome.refused), *outcome.notes]
    if outcome.refused and not partial:
        return [*lines, f"{len(outcome.refused)} refused, nothing is written"]
    for kind, taken in outcome.taken.items():
        changes = "; ".join(_changes(outcome.changes.get(kind, Change())))
        if taken or changes:
            lines.append(f"{kind}: {taken} taken; {changes or 'nothing changes'}")
    return lines


def _changes(change: Change) -> Iterator[str]:
    for word, names in (("added", change.added), ("changed", change.changed), ("removed", change.removed)):
        if names:
            rest = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            yield f"{len(names)} {word}: {', '.join(names[:MOST_NAMES])}{rest}"
    if change.reordered:
        yield "in another order"
