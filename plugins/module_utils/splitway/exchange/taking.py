# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries of files are right: all or none of them, or as many as are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .checking import Problem, problems
from .entries import Entry, ExchangeError, Refused
from .keeping import INVENTORY, Settled, There, from_there, is_there, settle, templates
from .kinds import Kind

Entries = Mapping[Kind, Sequence[Entry]]
Taken = dict[Kind, list[Settled]]

LOST = "the inventory has one, and nobody would after this import: export it, or import into the file that has it"


def right_ones(variables: Mapping[str, Any], entries: Entries, before: Mapping[Kind, There], refused: Refused) -> Taken:
    """Return the entries of which nothing is wrong, and refuse all that is."""
    taken = {kind: [settle(kind, entry, before[kind]) for entry in read] for kind, read in entries.items()}
    wrong = {id(each) for settled in taken.values() for each in settled if not _is_right(each, refused)}
    for problem in problems(variables, taken):
        refused.lines.append(problem.refusal())
        wrong.add(id(problem.blamed))
    return {kind: [each for each in settled if id(each) not in wrong] for kind, settled in taken.items()}


def taken_in_part(
    variables: Mapping[str, Any], entries: Entries, before: Mapping[Kind, There], refused: Refused
) -> Taken:
    """Return the entries that are right, with what is there in place of the others. Raises ExchangeError.

    A policy or client with a wrong rule would be another one without it: it is refused as a whole. A list loses
    the line.
    """
    taken: Taken = {}
    for kind, read in entries.items():
        taken[kind] = []
        for entry in read:
            settled = settle(kind, entry, before[kind])
            taken[kind] += [settled] if _is_right(settled, refused) else _instead(settled, before[kind])
    while True:
        found = problems(variables, taken)
        if not found:
            return taken
        blamed = [problem.turned() for problem in found if problem.blamed]
        # First what an entry says wrongly itself: what is refused takes no name and no address from another.
        blamed = [problem for problem in blamed if not problem.other] or blamed
        if not blamed:
            raise ExchangeError("\n".join(str(problem.refusal()) for problem in found))
        refused.lines += [problem.refusal() for problem in blamed]
        taken = {kind: _without(kind, settled, blamed, before[kind]) for kind, settled in taken.items()}


def _is_right(settled: Settled, refused: Refused) -> bool:
    """Return whether an entry may be judged by the topology; what is wrong before that is refused."""
    entry = settled.entry
    own = [*templates(entry), *(entry.refuse((key,), LOST) for key in settled.lost)]
    refused.lines += own
    return not own and not entry.wrong


def _without(kind: Kind, taken: Sequence[Settled], blamed: Sequence[Problem], before: There) -> list[Settled]:
    """Return the entries without what is blamed."""
    left: list[Settled] = []
    for each in taken:
        steps = [problem.steps for problem in blamed if problem.blamed is each]
        items = {(str(step[0]), step[1]) for step in steps if len(step) > 1 and step[0] in kind.items}
        if not steps:
            left.append(each)
        elif all(step[:2] in items for step in steps):
            left.append(settle(kind, each.entry.without(items), before))
        else:
            left += _instead(each, before)
    return left


def _instead(refused: Settled, before: There) -> list[Settled]:
    """Return what is there under the name of an entry that is refused; of what is there itself, nothing."""
    name = refused.entry.name
    if refused.entry.file == INVENTORY or not is_there(name, before):
        return []
    return [Settled(from_there(name, before), before.meant[name], before.written[name])]
