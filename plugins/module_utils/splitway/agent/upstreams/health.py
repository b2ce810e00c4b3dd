# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an upstream is up: judged round by round from probes through the tunnel and from what WireGuard counts.

A quiet tunnel is not a dead one, and one whose handshakes work but that moves no data is dead. Targets that
never answered prove nothing against a tunnel: perhaps they are the wrong ones. All of it is pure, the clock is
the caller's (time.monotonic(), seconds).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from ...state import Target, Watch

UP, DOWN, UNKNOWN = "up", "down", "unknown"

OVERHEAD = 400
"""Bytes received in five seconds that need not be data. WireGuard's own messages (its paper, 5.4): an initiation
148, a response 92, a cookie 64, a keepalive 32; a peer begins at most one handshake in five seconds."""
_HANDSHAKE_EVERY = 5.0  # seconds, REKEY_TIMEOUT

REFUSALS = 1312
"""Bytes a second that need not be data where the far end has no way to the Internet: it answers our clients with
"unreachable", of 1,280 bytes at most (RFC 4443, 2.4) and 32 of WireGuard's, Linux to each address once a second."""

REPEATED = 0.1
"""Share of what usually came in that need not be data that moves: where nothing reaches the far end any more but what
it sends still comes in, senders repeat what nobody acknowledges, one segment a flow at intervals that double (RFC
6298, 5.5)."""

HANDSHAKE_LIFE = 180.0
"""Seconds after which a key is not used any more (REJECT_AFTER_TIME): a tunnel in use has a younger one."""

ANSWER_WITHIN = 25.0
"""Seconds within which a living peer answers data: with data, or with a keepalive every 10 (KEEPALIVE_TIMEOUT), of
which one may be taken for a part of a handshake."""

PROBE = 256  # bytes that asking one target sends at most, a repeated SYN and WireGuard's share included

_REMEMBERED = 100  # probes over which loss is counted
_SMOOTHING = 1 / 8  # of a new round trip in the smoothed one (RFC 6298, 2)


class Reading(NamedTuple):
    """What WireGuard counts for a tunnel's peer."""

    received: int  # bytes
    sent: int  # bytes
    handshake: Optional[float]  # seconds since the last one; None: there was none


@dataclass(frozen=True)
class Round:
    """What one round of probes found out."""

    at: float
    replies: Mapping[Target, Optional[float]]  # seconds of those that were asked; None: no answer in time
    reading: Optional[Reading]  # None: there is no such interface
    received: Optional[int] = None  # bytes since its probes were sent; None: since the last reading
    refused: Collection[Target] = ()  # those that the far end said it cannot reach


@dataclass(frozen=True)
class Health:
    """What is known of an upstream."""

    watch: Watch
    since: float  # when it came to this state
    state: str = UNKNOWN  # up | down | unknown, which counts as up until something is proven
    good: int = 0  # rounds, one after the other; no more are counted than it takes to come up
    bad: int = 0
    latency: Optional[float] = None  # seconds, smoothed
    why: str = ""  # what the last bad round said, in words for people
    reading: Optional[Reading] = None  # the last one that differed from the one before
    read_at: float = 0.0  # in which round it came
    answered: frozenset[Target] = frozenset()  # at any time
    asked: Mapping[Target, int] = field(default_factory=dict)  # of those that never answered: how often
    probes: int = 0  # to targets that have answered before
    lost: int = 0  # a bit for each of the last ones, 1: no answer
    refused: bool = False  # a target was refused since the last answer
    unanswered: Optional[float] = None  # since when clients' data goes out and nothing comes back
    usual: Optional[float] = None  # bytes a second that come in while targets answer, smoothed

    @property
    def loss(self) -> float:
        """Return the share of the last 100 probes that were lost."""
        return bin(self.lost).count("1") / min(self.probes, _REMEMBERED) if self.probes else 0.0

    @property
    def silent(self) -> tuple[Target, ...]:
        """Return the targets that were asked more than once or twice and never answered."""
        return tuple(target for target in self.watch.targets if self.asked.get(target, 0) >= self.watch.down_after)


def judge(health: Health, round_: Round) -> Health:
    """Return what is known after one more round."""
    known = _remember(health, round_)
    why = _evidence(known, health, round_)
    if why is None:
        return known
    good, bad = (min(known.good + 1, known.watch.up_after), 0) if not why else (0, known.bad + 1)
    if (good, bad, why) == (known.good, known.bad, known.why):
        return known  # as it is nearly always
    state = known.state
    if good >= known.watch.up_after:
        state = UP
    elif bad >= known.watch.down_after:
        state = DOWN
    since = known.since if state == known.state else round_.at
    return _with(known, state=state, since=since, good=good, bad=bad, why=why)


def _with(health: Health, **changes: object) -> Health:
    """Return it with other fields. dataclasses.replace takes eight times as long, which 50 upstreams feel."""
    made: Health = object.__new__(Health)
    made.__dict__.update(health.__dict__, **changes)
    return made


def _remember(health: Health, round_: Round) -> Health:
    """Return the health with this round's replies and counters in its memory."""
    times = [time for time in round_.replies.values() if time is not None]
    new = {target for target, time in round_.replies.items() if time is not None} - health.answered
    answered = health.answered | new if new else health.answered
    asked = {target: count for target, count in health.asked.items() if target not in new}
    probes, lost = health.probes, health.lost
    for target, time in round_.replies.items():
        if target in answered:
            probes += 1
            lost = (lost << 1 | (time is None)) & ((1 << _REMEMBERED) - 1)
        else:
            asked[target] = asked.get(target, 0) + 1
    latency = health.latency
    if times:  # the nearest target's: which ones are asked differs from round to round
        latency = min(times) if latency is None else latency + _SMOOTHING * (min(times) - latency)
    same = _counted(health.reading) == _counted(round_.reading)
    return _with(
        health,
        answered=answered,
        asked=asked,
        probes=probes,
        lost=lost,
        latency=latency,
        refused=not times and (health.refused or bool(round_.refused)),
        unanswered=None if times else _unanswered(health, round_),
        usual=_usual(health, round_) if times else health.usual,
        reading=health.reading if same else round_.reading,
        read_at=health.read_at if same else round_.at,
    )


def _usual(before: Health, round_: Round) -> Optional[float]:
    if before.reading is None or round_.reading is None or round_.at <= before.read_at:
        return before.usual
    received = round_.reading.received - before.reading.received
    if received < 0 or _counted(before.reading) == _counted(round_.reading):
        return before.usual
    rate = received / (round_.at - before.read_at)
    return rate if before.usual is None else before.usual + _SMOOTHING * (rate - before.usual)


def _counted(reading: Optional[Reading]) -> Optional[tuple[int, int]]:
    return None if reading is None else (reading.received, reading.sent)


def _unanswered(before: Health, round_: Round) -> Optional[float]:
    """Return since when more than our own probes has been sent and nothing but handshakes came back."""
    if before.reading is None or round_.reading is None:
        return None
    received = round_.reading.received - before.reading.received
    sent = round_.reading.sent - before.reading.sent
    age, elapsed = round_.reading.handshake, round_.at - before.read_at
    shaken = age is not None and age <= elapsed + 1  # `wg` counts in whole seconds
    if received < 0 or sent < 0 or received > (_overhead(elapsed) if shaken else 0):
        return None  # it came back, or the device is a new one
    if before.unanswered is not None:
        return before.unanswered
    rounds = max(1, round(elapsed * 1000 / before.watch.interval))
    return before.read_at if sent > _overhead(elapsed) + PROBE * len(round_.replies) * rounds else None


def _overhead(elapsed: float) -> float:
    return OVERHEAD * max(1.0, elapsed / _HANDSHAKE_EVERY)


def _evidence(known: Health, before: Health, round_: Round) -> Optional[str]:
    """Return "" for a good round, why it is a bad one, None when it says nothing."""
    if any(time is not None for time in round_.replies.values()) or _data_moves(known, before, round_):
        return ""
    if round_.reading is None:
        return "there is no such interface"
    if known.answered:
        return "no target can be reached" if known.refused else "no target answers, and no data comes in"
    return _without_targets(known, before, round_.at, round_.reading)


def _data_moves(known: Health, before: Health, round_: Round) -> bool:
    received = round_.received
    elapsed = known.watch.timeout / 1000
    if received is None:
        if before.reading is None or round_.reading is None:
            return False
        received = round_.reading.received - before.reading.received
        elapsed = round_.at - before.read_at
    refusals = REFUSALS * elapsed if known.refused else 0.0
    return received > _overhead(elapsed) + max(refusals, REPEATED * elapsed * (known.usual or 0.0))


def _without_targets(known: Health, before: Health, now: float, reading: Reading) -> Optional[str]:
    """Judge a tunnel whose targets never answered, by what WireGuard says alone."""
    sends = before.reading is not None and reading.sent > before.reading.sent
    if reading.handshake is None or reading.handshake > HANDSHAKE_LIFE:
        return "the far end does not answer handshakes" if sends else None
    if known.unanswered is not None and now - known.unanswered >= ANSWER_WITHIN:
        return "data goes out, and nothing comes back"
    if known.state == DOWN and reading.handshake < now - known.since:
        return ""  # it has shaken hands since then: nothing more can be known before clients use it
    return None
