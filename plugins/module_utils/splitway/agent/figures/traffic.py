# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes by client and way: what flows that ended had moved, and what those that live have moved so far.

No flow is remembered: a total is the sum of what ended and of one dump of what lives. A flow whose time is up is in no
dump any more and has no event yet, and an event can get lost: the sum falls. A total never does. It waits until the
sum has caught up; what the sum falls short of it for minutes, ended unseen.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Optional

from ...state import DIRECT, State, mark_of
from ...system import System
from .flow_bytes import EndedFlows, FlowBytes, living

GIVEN_UP = 300.0
"""Seconds after which an event that did not come is lost. The kernel looks for flows whose time is up about once a
minute (nf_conntrack_core.c: GC_SCAN_INTERVAL_MAX)."""

Key = tuple[str, str]
"""Client and way: the name of an upstream, "direct" or "block"."""


@dataclass(frozen=True)
class Names:
    """What the topology calls a flow's source and its mark."""

    clients: Mapping[bytes, str]  # address, packed → client
    ways: Mapping[int, str]  # mark, inside the mask → way
    mask: int


def names(state: State) -> Optional[Names]:
    """Return the names that a state, with its choices, gives; None when it classifies nothing."""
    if state.marks is None or state.server is None:
        return None
    clients = {
        _packed(address): peer.name
        for peer in state.server.peers
        for address, _, length in (network.partition("/") for network in peer.allowed_ips)
        if length in ("", "32" if ":" not in address else "128")
    }
    upstreams = {device.interface: device.name for device in state.upstreams}
    direct = next((egress.name for egress in state.marks.egresses if egress.number == DIRECT), "direct")
    ways = {
        mark_of(egress.number, state.marks.mask): direct
        if egress.direct
        else upstreams.get(egress.interface or "", egress.name)
        for egress in state.marks.egresses
    }
    return Names(clients, ways, state.marks.mask)


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


class Totals:
    """The sums; nothing here reads the kernel."""

    def __init__(self) -> None:
        self._ended: Counter[Key] = Counter()
        self._told: Counter[Key] = Counter()  # the totals as they were told last
        self._missing: dict[Key, tuple[float, int]] = {}  # since when a sum falls short of them, by how much at least

    def end(self, flows: Iterable[FlowBytes], known: Names) -> None:
        """Count flows that ended."""
        _add(self._ended, flows, known)

    def sum(self, flows: Iterable[FlowBytes], known: Names, now: float) -> Mapping[Key, int]:
        """Return the totals, in bytes, with the flows that live. What a client has that is no more is forgotten."""
        alive: Counter[Key] = Counter()
        _add(alive, flows, known)
        clients = frozenset(known.clients.values())
        told: Counter[Key] = Counter()
        for key in {*self._told, *self._ended, *alive}:
            if key[0] in clients:
                told[key] = max(self._told[key], self._ended[key] + alive[key])
                self._settle(key, told[key] - self._ended[key] - alive[key], now)
            else:
                del self._ended[key]
                self._missing.pop(key, None)
        self._told = told
        return told

    def _settle(self, key: Key, missing: int, now: float) -> None:
        """Count as ended what a total has been missing for long."""
        since, least = self._missing.pop(key, (now, missing))
        least = min(least, missing)
        if least and now - since >= GIVEN_UP:
            self._ended[key] += least
        elif least:
            self._missing[key] = (since, least)


def _add(counter: Counter[Key], flows: Iterable[FlowBytes], known: Names) -> None:
    clients, ways, mask = known.clients, known.ways, known.mask
    for source, mark, count in flows:
        client, way = clients.get(source), ways.get(mark & mask)
        if client is not None and way is not None:
            counter[client, way] += count


class Traffic:
    """The accounting of one gateway. Call `drain` every second or so, and `read`, in another thread, for the totals."""

    def __init__(self, known: Names) -> None:
        """Count from now on. Raises OSError without CAP_NET_ADMIN."""
        self._known = known
        self._totals = Totals()
        self._flows = EndedFlows(known.mask)
        self._lost = 0
        self._read_at = float("-inf")
        self._lock = threading.Lock()  # what ends during a dump was in it, perhaps: it is counted by the next sum
        self._last: Mapping[Key, int] = {}

    @property
    def lost(self) -> int:
        """How many times flows ended faster than they were counted."""
        return self._lost + self._flows.lost

    def follow(self, known: Names) -> None:
        """Count by another generation's names, or by another choice of ways."""
        with self._lock:
            self._count_ended()
            if known.mask != self._known.mask:
                self._lost += self._flows.lost
                self._flows.close()
                self._flows = EndedFlows(known.mask)
            self._known = known

    def drain(self) -> None:
        """Count the flows that ended since the last time; left for later while `read` is at work."""
        if self._lock.acquire(blocking=False):
            try:
                self._count_ended()
            finally:
                self._lock.release()

    def _count_ended(self) -> None:
        self._totals.end(self._flows.read(), self._known)

    def read(self, system: System, now: float, oldest: float = 0.0) -> Mapping[Key, int]:
        """Return the bytes by client and way, those of living flows as of at most `oldest` seconds ago.

        `now` in seconds of a monotonic clock. Reading 50,000 flows takes about half a second. Raises SystemFailure.
        """
        with self._lock:
            if now - self._read_at >= oldest:
                self._count_ended()
                self._last = self._totals.sum(living(system, self._known.mask), self._known, now)
                self._read_at = now
            return self._last

    def close(self) -> None:
        self._flows.close()
