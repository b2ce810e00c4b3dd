# SPDX-License-Identifier: GPL-3.0-or-later
"""Fair comparisons on a machine that others use as well: the ways in turn, the ratios round by round."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Callable


def interleaved(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the samples of each way: every round measures each once, beginning with another one each time.

    What a way returns is its sample (seconds, packets/s, …); a round not counted comes first, to warm caches up.
    """
    samples: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for name in names:
        ways[name]()
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(ways[name]())
    return samples


def ratio(over: list[float], under: list[float]) -> float:
    """Return the median of the ratios of two ways' samples, each pair taken in one round."""
    return median(a / b for a, b in zip(over, under))
