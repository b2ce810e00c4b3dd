# SPDX-License-Identifier: GPL-3.0-or-later
"""Which members of one group are in use: what each mode does, and how it is kept from flapping.

A member that is down is left at once. Going back is never urgent: the better one must have been up for the
group's hold, and each return that did not last makes its next one later: its hold doubles, up to an hour, and a
day without a failed return forgets it. From `on_down: direct` the way back is shorter, for every second outside of
the tunnel is one that the operator did not want: at once, and after a return that did not last, after one hold.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...state import Group
from .health import DOWN, UP, Health

LONGEST_HOLD = 3600.0  # seconds
LASTING = 10  # holds that a return has to last for not to count as a failed one
FORGOTTEN = 86400.0  # seconds after which a failed return counts for nothing


@dataclass(frozen=True)
class Past:
    """What is remembered of a member."""

    joined: Optional[float] = None  # when it came back into use; None: it did not, or is not in use
    failures: int = 0  # returns that did not last
    failed: float = 0.0  # when the last of them ended
    faster: Optional[float] = None  # since when it is faster than the one in use, by the margin (latency)


@dataclass(frozen=True)
class Standing:
    """The members of a group that are in use, by number, and what is remembered of all of them."""

    members: tuple[int, ...]  # none: none is up
    pasts: Mapping[int, Past] = field(default_factory=dict)


Usable = Mapping[int, Health]
"""Number → health of the members that may have traffic, in the group's order."""


def usable(group: Group, upstreams: Mapping[str, Health]) -> dict[int, Health]:
    """Return the members that may have traffic: what is not known yet counts as up, what nobody watches does not."""
    found = {member.number: upstreams.get(member.upstream) for member in group.members}
    return {number: health for number, health in found.items() if health is not None and health.state != DOWN}


def stand(group: Group, alive: Usable, before: Optional[Standing], now: float, relieved: bool) -> Standing:
    """Return who is in use from now on. `relieved`: while none is, another egress carries the traffic."""
    if before is None:
        return Standing(_all(group, alive))
    pasts = {member.number: _rested(before.pasts.get(member.number, Past()), now) for member in group.members}
    kept = tuple(number for number in before.members if number in alive)
    returning = True
    if kept:
        if group.mode == "latency":
            pasts = _compared(group, pasts, alive, kept[0], now)
        ready = {
            number: health for number, health in alive.items() if now - health.since >= _hold(group, pasts[number])
        }
        after = _improved(group, ready, kept, pasts, now)
    elif before.members:
        after, returning = _all(group, alive), False  # not a return: there is nothing else
    else:
        back = {
            number: alive[number] for number in alive if _may_return(group, pasts[number], alive[number], now, relieved)
        }
        after = _all(group, back)
    return Standing(after, _learned(group, pasts, before.members, after, alive, returning, now))


def _all(group: Group, alive: Usable) -> tuple[int, ...]:
    """Return who is used of these when nobody is in use."""
    if group.mode == "balance":
        return tuple(alive)
    if group.mode == "latency":
        return tuple(sorted(alive, key=lambda number: _latency(alive[number])))[:1]  # stable: the order decides
    return tuple(alive)[:1]


def _improved(
    group: Group, ready: Usable, kept: tuple[int, ...], pasts: Mapping[int, Past], now: float
) -> tuple[int, ...]:
    """Return who is used when these go on: better ones take over, in `balance` all take part."""
    order = [member.number for member in group.members]
    if group.mode == "balance":
        return tuple(number for number in order if number in kept or number in ready)
    if group.mode == "latency":
        better = [number for number in ready if _lasts(group, pasts[number], now)]
        return tuple(sorted(better, key=lambda number: _latency(ready[number])))[:1] or kept
    return tuple(number for number in order[: order.index(kept[0])] if number in ready)[:1] or kept


def _lasts(group: Group, past: Past, now: float) -> bool:
    return past.faster is not None and now - past.faster >= _hold(group, past)


def _may_return(group: Group, past: Past, health: Health, now: float, relieved: bool) -> bool:
    """Return whether a member is used again after none was."""
    steady = now - health.since
    if group.on_down == "direct":
        return steady >= group.hold or (health.state == UP and not past.failures)
    # Without relief nothing is lost by trying.
    return not relieved or steady >= _hold(group, past)


def _compared(group: Group, pasts: Mapping[int, Past], alive: Usable, used: int, now: float) -> dict[int, Past]:
    """Return the pasts with what is faster than the member in use, and since when."""
    limit = _latency(alive[used]) - group.margin / 1000

    def past_of(number: int, past: Past) -> Past:
        faster = number in alive and number != used and _latency(alive[number]) < limit
        since = (now if past.faster is None else past.faster) if faster else None
        return past if since == past.faster else dataclasses.replace(past, faster=since)

    return {number: past_of(number, past) for number, past in pasts.items()}


def _latency(health: Health) -> float:
    """Return the latency by which members are compared: an unknown one is the last."""
    return math.inf if health.latency is None else health.latency


def _hold(group: Group, past: Past) -> float:
    """Return the seconds that a member must have been up before it is used again in the place of another."""
    return min(group.hold * 2.0**past.failures, max(LONGEST_HOLD, group.hold))


def _rested(past: Past, now: float) -> Past:
    forgotten = past.failures and now - past.failed >= FORGOTTEN
    return dataclasses.replace(past, failures=0) if forgotten else past


def _learned(
    group: Group,
    pasts: Mapping[int, Past],
    before: tuple[int, ...],
    after: tuple[int, ...],
    alive: Usable,
    returning: bool,
    now: float,
) -> dict[int, Past]:
    """Return the pasts with who came back, and whose return did not last."""
    learned = dict(pasts)
    for number, past in pasts.items():
        if number in before and number not in after:
            # One that a better one replaced did nothing wrong, but where speed decides: that is how flows wander.
            blamed = number not in alive or group.mode == "latency"
            brief = past.joined is not None and now - past.joined < LASTING * _hold(group, past)
            learned[number] = dataclasses.replace(past, joined=None, faster=None)
            if blamed and brief:
                learned[number] = dataclasses.replace(learned[number], failures=past.failures + 1, failed=now)
        elif number in after and number not in before:
            learned[number] = dataclasses.replace(past, joined=now if returning else None, faster=None)
    return learned
