# SPDX-License-Identifier: GPL-3.0-or-later
"""A text as numbered lines."""

from __future__ import annotations

from collections.abc import Iterator


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of all lines that hold anything, without the spaces around it."""
    for number, line in enumerate(text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        stripped = line.strip()
        if stripped:
            yield number, stripped
