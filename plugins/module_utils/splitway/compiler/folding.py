# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of private lists, folded for keeping and sending: owners with the same names share one list of them.

A private list has its number under two keys for each name of each owner. A thousand clients with the same twenty rules
had 41,000 keys, 1.8 MB that go through Ansible at each run; folded they have 2,023. Unfolding gives the same keys with
the same numbers back, so that what an earlier engine left, unfolded, counts as before.

| key | value |
|---|---|
| `names:LIST/DOMAIN` | the number of the set |
| `owner:LIST/OWNER/EGRESS` | 0; the owner has the names of this list, under this egress |

Under MOVED an owner has all of its names, unless a list of its own says which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from .numbers import MOVED

_PRIVATE = ("set:policy/", "set:client/")
_NAMES, _OWNER = "names:", "owner:"

Ways = dict[str, dict[str, int]]
"""Egress or MOVED → domain → number, of one owner."""


def fold(numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers with the keys of private lists folded."""
    folded = {key: number for key, number in numbers.items() if not key.startswith(_PRIVATE)}
    for owner, ways in _owners(numbers).items():
        moved = ways.pop(MOVED, {})
        if moved != _all_names(ways):
            ways[MOVED] = moved
        for way, names in ways.items():
            name = _list_name(names)
            folded[f"{_OWNER}{name}/{owner}/{way}"] = 0
            folded.update((f"{_NAMES}{name}/{domain}", number) for domain, number in names.items())
    return folded


def unfold(numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers that were folded; those that were not stay as they are."""
    lists: dict[str, dict[str, int]] = {}
    owners: dict[str, Ways] = {}
    unfolded = {}
    for key, number in numbers.items():
        if key.startswith(_NAMES):
            name, _, domain = key[len(_NAMES) :].partition("/")
            lists.setdefault(name, {})[domain] = number
        elif not key.startswith(_OWNER):
            unfolded[key] = number
    for key in numbers:
        if key.startswith(_OWNER):
            name, _, rest = key[len(_OWNER) :].partition("/")
            owner, _, way = rest.rpartition("/")
            owners.setdefault(owner, {})[way] = lists.get(name, {})
    for owner, ways in owners.items():
        for way, names in {MOVED: _all_names(ways), **ways}.items():
            unfolded.update((f"set:{owner}/{way}/{domain}", number) for domain, number in names.items())
    return unfolded


def _owners(numbers: Mapping[str, int]) -> dict[str, Ways]:
    owners: dict[str, Ways] = {}
    for key, number in numbers.items():
        if key.startswith(_PRIVATE):
            owner, way, domain = key.partition(":")[2].rsplit("/", 2)
            owners.setdefault(owner, {}).setdefault(way, {})[domain] = number
    return owners


def _all_names(ways: Ways) -> dict[str, int]:
    found: dict[str, int] = {}
    for way in sorted(ways):
        for domain, number in ways[way].items():
            found.setdefault(domain, number)
    return found


def _list_name(names: Mapping[str, int]) -> str:
    """Return what the list is called: by what is in it, so that owners with the same share it."""
    words = (f"{domain} {number}" for domain, number in sorted(names.items()))
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
