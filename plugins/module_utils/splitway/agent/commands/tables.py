# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables and times for people, in a terminal of 100 columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Optional

COLUMNS = 100
_GAP = 2


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, none without rows. A heading that begins with ">" aligns its column right.

    Where the lines would be too long, the widest columns are cut.
    """
    if not rows:
        return []
    right = [heading.startswith(">") for heading in headings]
    lines = [[heading.lstrip(">") for heading in headings], *rows]
    widths = [max(_width(line[index]) for line in lines) for index in range(len(headings))]
    while sum(widths) + _GAP * (len(widths) - 1) > COLUMNS:
        widths[widths.index(max(widths))] -= 1
    made = ((_fit(text, width, end) for text, width, end in zip(line, widths, right)) for line in lines)
    return ["", title, *((" " * _GAP).join(cells).rstrip() for cells in made)]


def _width(text: str) -> int:
    """Return the columns that a text takes: those of East Asia are two wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _fit(text: str, width: int, right: bool) -> str:
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text += "…"
    space = " " * (width - _width(text))
    return space + text if right else text + space


def duration(seconds: float) -> str:
    """Return a duration in its largest two units."""
    left = max(0, int(seconds))
    parts = []
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= length:
            parts.append(f"{left // length} {name}")
            left %= length
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def ago(when: Optional[float], now: float) -> str:
    """Return how long ago something was."""
    return "never" if when is None else f"{duration(now - when)} ago"
