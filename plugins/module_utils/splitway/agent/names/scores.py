# SPDX-License-Identifier: GPL-3.0-or-later
"""How good an address is: by the connections that were tried to it, of which the latest count most. Pure.

What an address costs is the time that a client is to expect until it has a connection: the connect time where one
succeeds, PENALTY where none does, by the share of tries that succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Optional

PENALTY = 2.0  # seconds that a client loses with an address that does not answer, before it takes another
WEIGHT = 0.2  # of the latest try
HALF_LIFE = 6 * 3600.0  # seconds after which half of what is known of an address's reliability is forgotten
PRIOR = 0.9  # the share of tries that succeed, of an address of which nothing is known
MARGIN, SHARE = 0.01, 0.2  # seconds, and share of its cost, by which another must be better than the one served first


@dataclass(frozen=True)
class Score:
    """What is known of an address."""

    success: float = PRIOR  # the share of tries that succeeded, 0 … 1
    connect: Optional[float] = None  # seconds until a connection was there, smoothed; None: there never was one
    tried: float = 0.0  # when it was tried last, in seconds since the epoch
    failures: int = 0  # the last tries, one after the other, that failed


UNKNOWN = Score()


def after(score: Score, now: float, connect: Optional[float]) -> Score:
    """Return the score after a try at a time: seconds until the connection was there; None: there was none."""
    success = reliability(score, now)
    if connect is None:
        return Score(success * (1 - WEIGHT), score.connect, now, score.failures + 1)
    smooth = connect if score.connect is None else score.connect + WEIGHT * (connect - score.connect)
    return Score(success + WEIGHT * (1 - success), smooth, now, 0)


def reliability(score: Score, now: float) -> float:
    """Return the share of tries that succeed, as far as it is known now: an old history says less."""
    age = max(0.0, now - score.tried)  # a clock may have been put back
    known: float = 0.5 ** (age / HALF_LIFE)
    return PRIOR + (score.success - PRIOR) * known


def cost(score: Score, now: float) -> float:
    """Return the seconds that a client is to expect until it has a connection."""
    if score.connect is None:
        return PENALTY
    success = reliability(score, now)
    return success * min(score.connect, PENALTY) + (1 - success) * PENALTY


def best(
    addresses: Iterable[str],
    scores: Mapping[str, Score],
    now: float,
    first: Optional[str] = None,
    handicap: Callable[[str], float] = lambda _: 0.0,
) -> tuple[str, ...]:
    """Return the addresses that answered when they were tried last, the best first.

    `first`: the one that is served first now; it stays there while no other is clearly better, so that clients that
    come back find what they know. `handicap`: seconds that an address is to cost more than by its score.
    """
    live = {
        address: cost(scores[address], now) + handicap(address)
        for address in addresses
        if address in scores and scores[address].failures == 0
    }
    ordered = sorted(live, key=lambda address: (live[address], address))
    if first in live and live[first] <= live[ordered[0]] * (1 + SHARE) + MARGIN:
        ordered.remove(first)
        ordered.insert(0, first)
    return tuple(ordered)
