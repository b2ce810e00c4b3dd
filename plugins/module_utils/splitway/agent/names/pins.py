# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses pinned names are answered with, when they are tried, and when the names are asked for again. Pure.

Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from .scores import Score, best

MOST_ADDRESSES = 8  # of a name and family, those that were answered last
SERVED = 4  # of them: the best, and its backups
KEEP = 600.0  # seconds that an address is taken for a name's after resolvers name others: as long as clients keep one
STALE = 3600.0  # seconds after which it is not, even when no resolver answers
AGAIN = (30.0, 300.0)  # seconds, at least and at most, until a name is asked for again; its time to live in between
SELDOM = 6  # tries of what is served first for one of the others
PATIENCE = 3  # failures in a row of all its addresses after which a name is answered as any other


@dataclass
class Known:
    """What is known of a name's addresses of one family."""

    answered: dict[str, float] = field(default_factory=dict)  # address → when a resolver named it last
    asked: float = 0.0  # when a resolver answered last, or none did
    again: float = 0.0  # when the name is to be asked for again
    served: tuple[str, ...] = ()  # the addresses that clients are answered with, the best first

    def answer(self, addresses: Iterable[str], ttl: float, now: float) -> None:
        """Take a resolver's answer."""
        latest = dict.fromkeys(addresses, now)
        if latest:
            young = {address: last for address, last in self.answered.items() if now - last < KEEP}
            merged = {**{address: last for address, last in young.items() if address not in latest}, **latest}
            self.answered = dict(sorted(merged.items(), key=lambda item: -item[1])[:MOST_ADDRESSES])
        low, high = AGAIN
        self.asked, self.again = now, now + min(max(ttl, low), high)

    def silence(self, now: float, interval: float) -> None:
        """Take that no resolver answered."""
        self.asked, self.again = now, now + interval

    def wants(self, now: float, interval: float) -> bool:
        """Return whether the name is to be asked for: its time has come, or nothing that is known of it lives."""
        lost = bool(self.answered) and not self.served and now >= self.asked + interval
        return lost or not self.asked <= now < self.again  # a clock may have been put back

    def forget(self, now: float) -> None:
        """Forget the addresses that no resolver has named for too long."""
        if any(now - last >= STALE for last in self.answered.values()):
            self.answered = {address: last for address, last in self.answered.items() if now - last < STALE}

    def due(self, scores: Mapping[str, Score], now: float, interval: float) -> list[str]:
        """Return the addresses that are to be tried now: `interval` seconds after the last try, the others seldom.

        While the best does not answer, nor does any that is served, all are tried at each time.
        """
        first = self.served[:1]
        lost = not first or (first[0] in scores and scores[first[0]].failures > 0)
        found = []
        for address in self.answered:
            often = lost or address in first
            last = scores[address].tried if address in scores else float("-inf")
            if abs(now - last) >= interval * (1 if often else SELDOM):  # a clock may have been put back
                found.append(address)
        return found

    def choose(self, scores: Mapping[str, Score], now: float, handicap: Callable[[str], float]) -> tuple[str, ...]:
        """Return what clients are to be answered with from now on; nothing: whatever a resolver says."""
        first = self.served[0] if self.served else None
        live = best(self.answered, scores, now, first, handicap)
        if live:
            return live[:SERVED]
        # None answered the last time: that may be us, or a moment.
        return tuple(
            address
            for address in self.served
            if address in self.answered and address in scores and scores[address].failures < PATIENCE
        )


def text(served: Mapping[str, Iterable[str]]) -> str:
    """Return the file for our dnsmasq, which has names' addresses in their order."""
    lines = (f"{address} {name}\n" for name in sorted(served) for address in served[name])
    return f"# Made by splitway\n{''.join(lines)}"


def seen(scores: Mapping[tuple[int, str], Score], egress: int, addresses: Iterable[str]) -> dict[str, Score]:
    """Return the scores of addresses as they are seen through an egress."""
    found = ((address, scores.get((egress, address))) for address in addresses)
    return {address: score for address, score in found if score is not None}
