# SPDX-License-Identifier: GPL-3.0-or-later
"""What the topology says of entries from files: its messages, at the files' lines instead of its own paths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ..topology import TopologyError, parse
from ..topology.errors import shown
from ..topology.plain import key_path
from .entries import Refusal, Steps, steps_of, written
from .keeping import INVENTORY, Settled
from .kinds import Kind
from .unread import UnreadLists

Taken = Mapping[Kind, Sequence[Settled]]

_PATH = re.compile(r'splitway_[a-z_]+(?:\[\d+\]|\.[A-Za-z0-9_-]+|\["(?:[^"\\]|\\.)*"\])?')
_REST = re.compile(r'((?:\.[A-Za-z0-9_-]+|\[\d+\]|\["(?:[^"\\]|\\.)*"\])*): (.*)', re.DOTALL)


@dataclass(frozen=True)
class Problem:
    """One message of the topology."""

    blamed: Optional[Settled]  # None: something that no file of the import says
    steps: Steps
    text: str
    other: Optional[Settled] = None  # the entry that has the same already, and may not stay itself

    def refusal(self) -> Refusal:
        if self.blamed is None:
            return Refusal(INVENTORY, 0, written(self.steps), self.text)
        return self.blamed.entry.refuse(self.steps, self.text)

    def turned(self) -> Problem:
        """Return the problem as the other entry's, if that comes from a file and the blamed one is there already."""
        if not self.blamed or self.blamed.entry.line or not self.other or not self.other.entry.line:
            return self
        stays = f"{shown(self.blamed.entry.name)}, which stays as it is"
        return Problem(self.other, (), f"is in the way of {stays}: {written(self.steps)}: {self.text}", self.blamed)


def problems(variables: Mapping[str, Any], taken: Taken) -> list[Problem]:
    """Return what is wrong with a topology: an inventory's variables with the entries taken in place of its own."""
    entries: dict[str, Settled] = {}
    values = dict(variables)
    for kind, settled in taken.items():
        values[kind.variable] = value_of(kind, settled)
        for index, each in enumerate(settled):
            path = key_path(kind.variable, each.entry.name) if kind.by_name else f"{kind.variable}[{index}]"
            entries[path] = each
    try:
        parse(values, UnreadLists())
    except TopologyError as error:
        return [_problem(message, entries) for message in error.errors]
    return []


def value_of(kind: Kind, settled: Sequence[Settled], *, as_written: bool = False) -> Any:
    """Return the value of a kind's variable: what it means, or as it is written."""
    values = [each.written if as_written else each.meant for each in settled]
    return {each.entry.name: value for each, value in zip(settled, values)} if kind.by_name else values


def _problem(message: str, entries: Mapping[str, Settled]) -> Problem:
    found = _PATH.match(message)
    blamed = entries.get(found[0]) if found else None
    if not found or blamed is None:
        path, _, text = message.partition(": ")
        return Problem(None, (path,), _placed(text, entries))
    rest = _REST.fullmatch(message, found.end())
    steps, text = (steps_of(rest[1]), rest[2]) if rest else ((), message[found.end() :])
    others = [entries[path] for path in _PATH.findall(text) if path in entries]
    return Problem(
        blamed, steps, _placed(text, entries), next((other for other in others if other is not blamed), None)
    )


def _placed(text: str, entries: Mapping[str, Settled]) -> str:
    """Return a message with the files' lines in place of the paths of entries."""

    def place(found: re.Match[str]) -> str:
        entry = entries[found[0]].entry if found[0] in entries else None
        return f"{entry.file}:{entry.line}" if entry and entry.line else found[0]

    return _PATH.sub(place, text)
