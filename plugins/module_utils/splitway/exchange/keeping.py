# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import keeps of what is there: values that are the same stay as they are written, a template a template.

Keys that the files leave out stay, too: an entry without the key `private_key` says nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..topology.plain import may_be_template
from .entries import Entry, Refusal
from .kinds import SECRETS, Kind
from .yaml_text import Tagged

INVENTORY = "the inventory"
"""In place of a file: what is there already."""


@dataclass(frozen=True)
class There:
    """One kind as it is before an import, by name."""

    written: Mapping[str, Any]  # in the file, templates and all
    meant: Mapping[str, Any]  # in the inventory, with everything filled in


def there(kind: Kind, written: Any, meant: Any) -> There:
    """Return what is there of a kind, as far as it has names."""
    return There(_by_name(kind, written), _by_name(kind, meant))


def is_there(name: Any, before: There) -> bool:
    """Return whether an entry of this name is there, in the file and in the inventory."""
    return isinstance(name, str) and name in before.written and name in before.meant


def from_there(name: str, before: There, without: tuple[str, ...] = ()) -> Entry:
    """Return what is there under a name as an entry, without some of its keys."""
    value = before.meant.get(name, before.written[name])
    if isinstance(value, dict):
        value = {key: entry for key, entry in value.items() if key not in without}
    return Entry(name, value, INVENTORY, 0, lambda steps: (0, (name, *steps)))


def _by_name(kind: Kind, value: Any) -> dict[str, Any]:
    if kind.by_name:
        return value if isinstance(value, dict) else {}
    entries = value if isinstance(value, list) else []
    return {entry["name"]: entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("name"), str)}


@dataclass(frozen=True)
class Settled:
    """An entry as the topology is to read it, and as the file is to say it."""

    entry: Entry
    meant: Any
    written: Any
    lost: tuple[str, ...] = ()  # keys (of WireGuard) that the inventory has and nobody would have after the import


def settle(kind: Kind, entry: Entry, before: There) -> Settled:
    """Return what becomes of an entry beside what is there under its name."""
    if not isinstance(entry.value, dict) or not isinstance(entry.name, str):
        return Settled(entry, entry.value, entry.value)
    old, filled = before.written.get(entry.name), before.meant.get(entry.name)
    old, filled = (value if isinstance(value, dict) else {} for value in (old, filled))
    meant = {key: value for key, value in entry.value.items() if value is not None}
    written = {key: old[key] if _unchanged(key, value, old, filled) else value for key, value in meant.items()}
    for key in (*kind.items, "rules") if kind.by_name else ():
        if key not in meant and old.get(key) == []:  # a table has no row for it
            meant[key] = written[key] = []
    lost = []
    for key in SECRETS if "private_key" in kind.keys else ():
        if key in entry.value:
            continue
        if old.get(key) is not None:
            written[key] = old[key]
            if is_plain(old[key]) or filled.get(key) is not None:
                meant[key] = old[key] if is_plain(old[key]) else filled[key]
        elif filled.get(key) is not None:
            lost.append(key)
    if same(written, {key: value for key, value in old.items() if value is not None}):
        written = old
    else:
        order = [key for key in kind.keys if key in written]
        written = {key: written[key] for key in (*order, *(key for key in written if key not in order))}
    return Settled(entry, meant, written, tuple(lost))


def _unchanged(key: str, value: Any, old: Mapping[str, Any], filled: Mapping[str, Any]) -> bool:
    """Return whether what is written already means the value."""
    if key not in old:
        return False
    return same(value, old[key]) or (not is_plain(old[key]) and key in filled and same(value, filled[key]))


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same, whatever the order of their keys; True is not 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def is_plain(value: Any) -> bool:
    """Return whether a value means what is written: there is no template and no tag in it."""
    if isinstance(value, str):
        return not may_be_template(value)
    if isinstance(value, (dict, list)):
        return all(map(is_plain, (*value, *value.values()) if isinstance(value, dict) else value))
    return not isinstance(value, Tagged)


def templates(entry: Entry) -> list[Refusal]:
    """Return the refusal of each template in an entry: Ansible would run what the file's writer wrote."""
    found = []
    parts = entry.value.items() if isinstance(entry.value, dict) else ((None, entry.value),)
    for key, value in parts:
        if not is_plain(value) or not is_plain(key):
            steps = (key,) if isinstance(key, str) and is_plain(key) else ()
            found.append(entry.refuse(steps, "holds a template, which Ansible would run"))
    return found
