# SPDX-License-Identifier: GPL-3.0-or-later
"""Stable numbers for egresses, sets and policies: allocated once, kept on the host, never moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

MOVED = "*"
"""In place of an egress in a key: it keeps a number that nobody else claims, and takes no part of a shared one."""


class CompileError(ValueError):
    """The topology asks for more than a gateway can hold; the message names the limit."""


@dataclass(frozen=True)
class Numbered:
    """The number of one group of keys. `split_from`: the number that some of its keys had before."""

    number: int
    split_from: Optional[int] = None


def allocate(
    groups: Sequence[Sequence[str]], numbers: Mapping[str, int], candidates: Iterable[int], limit: str
) -> list[Numbered]:
    """Return a number for each group of keys (no key is in two groups).

    A group that had a number keeps it. When groups that shared one now differ, the one whose first key
    had it keeps it, else the one with most of the old keys, and the others get new numbers. A number that
    any key of `numbers` still holds is not given to another, so that no number changes its meaning within
    one run.

    Raises CompileError, with `limit` as its text, when the candidates are used up.
    """
    keepers = _keepers(groups, numbers)
    taken = set(numbers.values()) | set(keepers.values())
    free = (number for number in candidates if number not in taken)
    going = len(taken) - len(keepers)
    if going:
        limit += f"; {going} numbers are still those of what is no longer there: remove first, add in a run after that"
    return [_number(index, keys, numbers, keepers, free, limit) for index, keys in enumerate(groups)]


def _keepers(groups: Sequence[Sequence[str]], numbers: Mapping[str, int]) -> dict[int, int]:
    """Return group index → the number it keeps."""
    claims: dict[int, tuple[int, int]] = {}  # number → (weight of the keys that hold it, group index)
    for index, keys in enumerate(groups):
        held = Counter(numbers[key] for key in keys if key in numbers)
        if keys and keys[0] in numbers:
            held[numbers[keys[0]]] += len(numbers)  # more than all other keys together
        for number, weight in held.items():
            if number not in claims or weight > claims[number][0]:
                claims[number] = (weight, index)
    kept: dict[int, int] = {}
    for number, (_weight, index) in sorted(claims.items(), key=lambda claim: (-claim[1][0], claim[0])):
        kept.setdefault(index, number)
    return kept


def _number(
    index: int,
    keys: Sequence[str],
    numbers: Mapping[str, int],
    keepers: Mapping[int, int],
    free: Iterator[int],
    limit: str,
) -> Numbered:
    if index in keepers:
        return Numbered(keepers[index])
    number = next(free, None)
    if number is None:
        raise CompileError(limit)
    held = sorted(numbers[key] for key in keys if key in numbers and f"/{MOVED}/" not in key)
    return Numbered(number, held[0] if held else None)
