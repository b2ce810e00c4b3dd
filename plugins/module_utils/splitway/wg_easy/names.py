# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of wg-easy's clients, which may be any text and there twice, as names of ours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST = 63


def clean_name(given: str) -> str:
    """Return a name without accents, and with a hyphen for each run of what a name cannot have; it may be empty."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", given) if not unicodedata.combining(c))
    return _NOT_IN_NAMES.sub("-", letters).strip("-.")[:_LONGEST]


def own_names(given: Iterable[tuple[int, str]]) -> Mapping[int, str]:
    """Return id → name, none of them there twice whatever its case.

    Of several the smallest id has the name as it is, so that a client that is added changes the name of no other;
    further ones get their id behind it. One of which nothing is left is called client-ID.
    """
    names: dict[int, str] = {}
    taken: set[str] = set()
    for number, text in sorted(given):
        name = clean_name(text) or f"client-{number}"
        ending = f"-{number}"
        while name.lower() in taken:
            name = f"{name[: _LONGEST - len(ending)]}{ending}"
            ending = f"_{ending}"
        taken.add(name.lower())
        names[number] = name
    return names
