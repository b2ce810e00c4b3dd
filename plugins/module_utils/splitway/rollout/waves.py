# SPDX-License-Identifier: GPL-3.0-or-later
"""Which gateways are changed together."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .settings import Size

Waves = tuple[tuple[str, ...], ...]


def cut(gateways: Sequence[str], sizes: Sequence[Size]) -> Waves:
    """Return the waves, in the order of the gateways. The last size is that of all waves that follow, too.

    A share is of all the gateways given, rounded down, and one gateway at least.
    """
    waves: list[tuple[str, ...]] = []
    start = 0
    while start < len(gateways):
        size = sizes[min(len(waves), len(sizes) - 1)]
        count = max(1, int(size * len(gateways))) if isinstance(size, Fraction) else size
        waves.append(tuple(gateways[start : start + count]))
        start += count
    return tuple(waves)
