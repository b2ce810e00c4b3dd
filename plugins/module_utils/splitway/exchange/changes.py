# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import changes: variables with another value, and by name what was added, changed and removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..topology.errors import shown
from .checking import value_of
from .keeping import Settled, There, same
from .kinds import SECRETS, Kind


@dataclass(frozen=True)
class Change:
    """What becomes of the entries of one kind, by their names."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  # each with the keys that differ
    removed: tuple[str, ...] = ()
    reordered: bool = False


def differences(
    taken: Mapping[Kind, Sequence[Settled]], before: Mapping[Kind, There], old: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Change]]:
    """Return the variables that get another value, as they are to be written, and what becomes of their entries."""
    values, changes = {}, {}
    for kind, settled in taken.items():
        value, there = value_of(kind, settled, as_written=True), old.get(kind.variable)
        if (value or there) and not (same(value, there) and list(value) == list(there or ())):
            values[kind.variable] = value
            changes[kind.name] = _change(settled, before[kind].written)
    return values, changes


def _change(settled: Sequence[Settled], old: Mapping[str, Any]) -> Change:
    new = {str(each.entry.name): each.written for each in settled}
    changed = [name for name in new if name in old and not same(new[name], old[name])]
    return Change(
        added=tuple(name for name in new if name not in old),
        changed=tuple(f"{name} ({', '.join(_differing(new[name], old[name]))})" for name in changed),
        removed=tuple(name for name in old if name not in new),
        reordered=[name for name in new if name in old] != [name for name in old if name in new],
    )


def _differing(new: Any, old: Any) -> list[str]:
    if not isinstance(new, dict) or not isinstance(old, dict):
        return ["all of it"]
    return [str(key) for key in dict.fromkeys((*new, *old)) if not same(new.get(key), old.get(key))]


def lost_keys(taken: Mapping[Kind, Sequence[Settled]], before: Mapping[Kind, There]) -> list[str]:
    """Return notes of the keys (of WireGuard) that a file takes away: by an empty cell or null, or with their entry."""
    notes = []
    for kind, settled in taken.items():
        new = {each.entry.name: each for each in settled if isinstance(each.entry.name, str)}
        old = {name: _keys(value) for name, value in before[kind].written.items()}
        for name, each in new.items():
            gone = [key for key in old.get(name, ()) if key not in _keys(each.written)]
            notes += [str(each.entry.refuse((key,), f"{shown(name)} has none any more")) for key in gone]
        removed = [str(name) for name in old if old[name] and name not in new]
        if removed:
            notes.append(f"{kind.name}: removed with their keys: {', '.join(removed)}")
    return notes


def _keys(value: Any) -> list[str]:
    """Return which of WireGuard's secret keys an entry has."""
    return [key for key in SECRETS if isinstance(value, dict) and value.get(key) is not None]
