# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom to ask next: what is remembered of each resolver. No clock, no network: times are given, in seconds.

A resolver is dead when it did not answer in time and has answered nothing else meanwhile; for a while nobody asks it,
then one question finds out. So all that is asked waits for a dead one no longer than one question does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Optional

DEAD = 30.0  # seconds for which a dead one is not asked
NEW = 0.05  # seconds that one is taken to need which has not answered yet
WORTHLESS = 1.0  # seconds that an answer costs in which nothing is answered: somebody else has to be asked
_WEIGHT = 0.2  # of the latest answer

DNS_PORT = 53
NEVER = float("-inf")


@dataclass(frozen=True)
class Server:
    """A resolver, as it is asked."""

    address: str
    port: int = DNS_PORT
    interface: str = ""  # the tunnel through which, and through no other; "": as the host's routes say

    def __str__(self) -> str:
        through = f" through {self.interface}" if self.interface else ""
        return f"{self.address}#{self.port}{through}"


def server(written: str) -> Server:
    """Return a resolver as dnsmasq writes it: address[#port][@interface]."""
    where, _, interface = written.partition("@")
    address, _, port = where.partition("#")
    return Server(address, int(port or DNS_PORT), interface)


@dataclass
class Record:
    """What is remembered of one."""

    latency: Optional[float] = None  # seconds of an answer, smoothed
    asked: int = 0  # questions since the start
    failed: int = 0  # of them without a good answer in time
    waiting: int = 0  # questions that it has not answered yet
    heard: float = NEVER  # when it answered last
    dead_until: float = NEVER

    @property
    def alive(self) -> bool:
        """Return whether it is taken to answer."""
        return self.dead_until == NEVER

    @property
    def burden(self) -> float:
        """Return how long one more question would wait, roughly."""
        return (NEW if self.latency is None else self.latency) * (self.waiting + 1)


class Memory:
    """What is remembered of all resolvers."""

    def __init__(self) -> None:
        self.records: dict[Server, Record] = {}

    def choose(self, servers: Iterable[Server], before: Collection[Server], now: float) -> Optional[Server]:
        """Return whom to ask, those that were not asked `before` first; None: all are dead, and being tried."""
        records = {entry: self._record(entry) for entry in servers}
        fresh = {entry: record for entry, record in records.items() if entry not in before}
        for some in (fresh, records):
            for entry, record in some.items():
                if not record.alive and now >= record.dead_until and not record.waiting:
                    return entry  # whether it lives again
            alive = [entry for entry, record in some.items() if record.alive]
            if alive:
                return min(alive, key=lambda entry: records[entry].burden)
        return next((entry for entry, record in records.items() if not record.waiting), None)

    def sent(self, entry: Server) -> None:
        """Take that a question was sent."""
        record = self._record(entry)
        record.asked += 1
        record.waiting += 1

    def silent(self, entry: Server, now: float, asked: float, refused: bool = False) -> bool:
        """Take that a question of a time was not answered; return whether the resolver is dead, for all we know.

        `refused`: the host, or the network, said that it cannot be asked.
        """
        record = self._record(entry)
        if record.heard >= asked and not refused:
            return False  # this one was lost
        record.dead_until = now + DEAD
        return True

    def done(self, entry: Server, now: float, took: Optional[float], good: bool) -> None:
        """Take that nobody waits for a question's answer any more, which came after `took` (None: it did not come).

        One that says only that it cannot answer is none that counts, but a sign of life.
        """
        record = self._record(entry)
        record.waiting -= 1
        record.failed += not good
        if took is None:
            return
        record.heard, record.dead_until = now, NEVER
        took += 0.0 if good else WORTHLESS
        record.latency = took if record.latency is None else record.latency + _WEIGHT * (took - record.latency)

    def dead(self, now: float) -> frozenset[Server]:
        """Return those that are not asked now."""
        return frozenset(entry for entry, record in list(self.records.items()) if record.dead_until > now)

    def forget(self, but: Collection[Server]) -> None:
        """Forget all resolvers but these, unless something waits for them."""
        self.records = {entry: rec for entry, rec in self.records.items() if entry in but or rec.waiting}

    def _record(self, entry: Server) -> Record:
        return self.records.setdefault(entry, Record())
