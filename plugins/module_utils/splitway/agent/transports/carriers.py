# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted of a WebSocket's TCP connections, from look to look. Pure but for the looking itself.

A program may keep several connections, idle ones among them. The one that carries is the one on which most has moved
since the last look; another one in its place, once it has ended, is a reconnection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Optional

from ..figures.tcp_connections import Connection

_Key = tuple[int, int]
FEW = 20  # segments sent since the last look, below which a share of them says nothing
_SMOOTHING = 1 / 8


@dataclass(frozen=True)
class Counted:
    """What is known of a WebSocket's connections; the counts since the agent's start."""

    connections: Mapping[_Key, Connection] = field(default_factory=dict)  # at the last look
    carrying: Optional[_Key] = None
    rtt: Optional[float] = None  # seconds, of the one that carries
    loss: Optional[float] = None  # share of the segments that were sent again, smoothed
    reconnects: int = 0
    sent: int = 0  # bytes
    received: int = 0  # bytes

    @property
    def open(self) -> int:
        """Return how many connections there are."""
        return len(self.connections)


def count(before: Counted, seen: Iterable[Connection]) -> Counted:
    """Return what is known after one more look."""
    now = {(connection.inode, connection.port): connection for connection in seen}
    sent = received = segments = again = 0
    moved: dict[_Key, int] = {}
    for key, connection in now.items():
        old = before.connections.get(key)
        moved[key] = connection.sent + connection.received - (old.sent + old.received if old else 0)
        sent += connection.sent - (old.sent if old else 0)
        received += connection.received - (old.received if old else 0)
        segments += connection.segments - (old.segments if old else 0)
        again += connection.retransmitted - (old.retransmitted if old else 0)
    carrying = max(moved, key=moved.__getitem__, default=None)
    if carrying is None or not moved[carrying]:
        carrying = before.carrying if before.carrying in now else None
    ended = before.carrying is not None and before.carrying not in now
    lost = before.reconnects + (ended and carrying is not None)
    return Counted(
        connections=now,
        # One that has ended is remembered until another one carries: then that is a reconnection.
        carrying=before.carrying if carrying is None else carrying,
        rtt=now[carrying].rtt if carrying is not None else None,
        loss=_smoothed(before.loss, again, segments),
        reconnects=lost,
        sent=before.sent + max(0, sent),
        received=before.received + max(0, received),
    )


def _smoothed(before: Optional[float], again: int, segments: int) -> Optional[float]:
    if segments < FEW:
        return before
    share = min(1.0, max(0, again) / segments)
    return share if before is None else before + _SMOOTHING * (share - before)
