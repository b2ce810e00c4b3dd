# SPDX-License-Identifier: GPL-3.0-or-later
"""When a tunnel that may take either way tries the other one. Pure; times are the caller's (time.monotonic(), seconds).

The WebSocket is tried as soon as UDP leaves a round of probes without an answer. UDP is tried again and again while the
tunnel is on its WebSocket, less and less often, and at once when the host has another address towards the exit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from ..upstreams.health import HANDSHAKE_LIFE, Health

FIRST_PAUSE, LONGEST_PAUSE = 30.0, 600.0  # seconds between trials of UDP; each pause is twice the one before
LASTING = 600.0  # seconds by UDP after which a return to it was no mistake
SETTLE = 2.0  # seconds that an uplink with another address has to begin to work
REKEY = 6.0  # seconds within which WireGuard tries again to shake hands (REKEY_TIMEOUT is 5)


@dataclass(frozen=True)
class Past:
    """What is remembered of a tunnel that may take either way."""

    pause: float = FIRST_PAUSE
    next: float = 0.0  # when UDP is tried next, while the tunnel is on its WebSocket
    returned: Optional[float] = None  # when it came back to UDP
    source: str = ""  # the host's own address towards the exit; "": not known
    tried: int = 0  # failed rounds by UDP, one after the other, after which the WebSocket was tried


def starting(now: float) -> Past:
    """Return the past of a tunnel that the agent's last run, or nobody, has put on its way."""
    return Past(next=now + FIRST_PAUSE)


def tries_websocket(past: Past, health: Health) -> bool:
    """Return whether the WebSocket is to be tried: once for each round by UDP that failed."""
    return health.bad > past.tried


def after_round(past: Past, health: Health) -> Past:
    """Return the past with the failed rounds of now."""
    return past if past.tried == health.bad else replace(past, tried=health.bad)


def patience(health: Health) -> float:
    """Return the seconds that the WebSocket has to answer: without a session WireGuard has to shake hands first."""
    age = health.reading.handshake if health.reading else None
    return REKEY if age is None or age > HANDSHAKE_LIFE else health.watch.timeout / 1000


def left(past: Past, now: float) -> Past:
    """Return the past of a tunnel that goes over to its WebSocket."""
    brief = past.returned is not None and now - past.returned < LASTING
    pause = min(2 * past.pause, LONGEST_PAUSE) if brief else FIRST_PAUSE
    return replace(past, pause=pause, next=now + pause, returned=None, tried=0)


def soon(past: Past, now: float) -> Past:
    """Return the past of a tunnel on its WebSocket whose UDP has not failed: it is tried at once."""
    return replace(past, next=now)


def stayed(past: Past, now: float) -> Past:
    """Return the past of a tunnel that tried UDP in vain."""
    pause = min(2 * past.pause, LONGEST_PAUSE)
    return replace(past, pause=pause, next=now + pause)


def came_back(past: Past, now: float) -> Past:
    """Return the past of a tunnel that is by UDP again."""
    return replace(past, returned=now, tried=0)


def at_address(past: Past, source: str, now: float) -> Past:
    """Return the past of a tunnel whose host has this address of its own towards the exit; "": there is no route."""
    if not source or source == past.source:
        return past
    if not past.source:
        return replace(past, source=source)
    return replace(past, source=source, pause=FIRST_PAUSE, next=min(past.next, now + SETTLE))
