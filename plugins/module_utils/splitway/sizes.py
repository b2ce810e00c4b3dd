# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of bytes for people."""

from __future__ import annotations


def size(count: int) -> str:
    """Return a number of bytes with three digits that count."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{count} B" if unit == "B" else f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
