# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a topology, said so that an operator can act on it and nothing secret is told."""

from __future__ import annotations

import difflib
import functools
import json
import re
from typing import Any, Union

LONGEST_SHOWN = 80  # characters of a value in a message
MOST_COMPARED = 500  # names; beyond that a suggestion takes longer than it is worth

# A key in the wrong place, whole or cut by a character, must not get into a log.
_KEY_LIKE = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{42,44}={0,2}(?![A-Za-z0-9+/=])")


class TopologyError(ValueError):
    """Everything that is wrong with a topology, or with one value; the message has a line for each."""

    def __init__(self, *errors: str) -> None:
        super().__init__(*errors)
        self.errors: tuple[str, ...] = errors

    def __str__(self) -> str:
        return "\n".join(self.errors)


class Report:
    """Collects the errors of a topology under their paths."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def add(self, path: str, problem: object) -> None:
        self.errors.append(f"{path}: {problem}")

    def finish(self) -> None:
        """Raise TopologyError if there is anything to tell."""
        if self.errors:
            raise TopologyError(*self.errors)


def shown(value: Any) -> str:
    """Return a value as messages show it: one short printable line, without anything that looks like a key."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge number"
    if isinstance(value, str):
        value = hidden(value)
        value = value if len(value) <= LONGEST_SHOWN else value[: LONGEST_SHOWN - 1] + "…"
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def hidden(text: str) -> str:
    """Return a text without anything that looks like a key."""
    return _KEY_LIKE.sub("<hidden>", text)


def suggestion(word: Any, known: Union[tuple[str, ...], frozenset[str]]) -> str:
    """Return `; did you mean "…"?` for a word that is nearly a known one, else nothing."""
    if not isinstance(word, str) or len(known) > MOST_COMPARED:
        return ""
    return _suggestion(word, known)


@functools.lru_cache(maxsize=1000)  # a whole fleet's clients may share one slip
def _suggestion(word: str, known: Union[tuple[str, ...], frozenset[str]]) -> str:
    folded = {name.casefold(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.casefold()[:64], folded, n=1, cutoff=0.6)
    return f"; did you mean {shown(folded[near[0]])}?" if near else ""
