# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of another program bring: entries, and the server that clients know already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .entries import Entry, Refusal
from .keeping import INVENTORY, There
from .kinds import SECRETS, SERVER, Kind


@dataclass(frozen=True)
class Server:
    """`splitway_server` as a file has it."""

    value: Mapping[str, Any] = field(default_factory=dict, repr=False)
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)  # its keys' lines in the file

    def placed(self, refusal: Refusal) -> Refusal:
        """Return a refusal of what the inventory would say of the server, at the line of the file instead."""
        if refusal.file != INVENTORY or not refusal.where.startswith(f"{SERVER}."):
            return refusal
        where = refusal.where[len(SERVER) + 1 :]
        line = self.lines.get(where.partition("[")[0], 0)
        return Refusal(self.file, line, where, refusal.problem)


@dataclass(frozen=True)
class Brought:
    """Of each kind that is there its entries and the files that they are in."""

    entries: dict[Kind, list[Entry]] = field(default_factory=dict)
    files: dict[Kind, set[str]] = field(default_factory=dict)
    server: Server = Server()


def added(entries: list[Entry], before: There) -> list[Entry]:
    """Return what is there with some entries added: those of the same name say what they say, and the rest stays.

    Keys (of WireGuard) that an entry does not say stay where they are.
    """
    new = {entry.name: entry for entry in entries}
    names = dict.fromkeys((*before.written, *before.meant))
    there = {name: before.meant.get(name, before.written.get(name)) for name in names}
    kept = {
        name: {key: entry for key, entry in value.items() if key not in SECRETS} if isinstance(value, dict) else value
        for name, value in there.items()
    }
    found = [_there(name, value) for name, value in kept.items() if name not in new]
    for entry in entries:
        old = kept.get(entry.name)
        value = {**old, **entry.value} if isinstance(old, dict) else entry.value
        found.append(Entry(entry.name, value, entry.file, entry.line, entry.place, entry.wrong))
    order = {name: index for index, name in enumerate(names)}
    return sorted(found, key=lambda entry: order.get(entry.name, len(order)))


def _there(name: str, value: Any) -> Entry:
    return Entry(name, value, INVENTORY, 0, lambda steps: (0, (name, *steps)))
