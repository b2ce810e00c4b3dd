# SPDX-License-Identifier: GPL-3.0-or-later
"""How resolvers answer the agent, and what it found of the addresses of pinned names.

Times are seconds since the epoch, durations seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ...state import State, from_data, to_data
from ..names.pinning import Pinning
from ..names.resolver import Resolver
from ..names.scores import UNKNOWN, reliability


@dataclass(frozen=True)
class ResolverStatus:
    """One resolver, as the agent knows it."""

    server: str
    asked: int = 0  # questions since the start
    failed: int = 0  # of them without a good answer in time
    latency: Optional[float] = None  # of an answer, smoothed; None: it never answered
    dead: bool = False  # it is not asked for the time being


@dataclass(frozen=True)
class PinnedStatus:
    """All pinned names."""

    names: int = 0
    served: int = 0  # those that clients are answered with addresses that live
    addresses: int = 0  # of all of them
    silent: int = 0  # addresses that did not answer when they were tried last


@dataclass(frozen=True)
class AddressStatus:
    """An address of a pinned name."""

    name: str
    address: str
    egress: str  # through which it is tried
    place: Optional[int]  # among those that clients are answered with, 1 is the best; None: they are not
    success: float  # the share of tries that succeeded, 0 … 1
    connect: Optional[float]  # seconds until a connection was there, smoothed
    tried: Optional[float]  # when; None: not yet
    failures: int  # the last tries, one after the other, that failed
    country: str  # "": not known


def resolvers_of(resolver: Resolver) -> tuple[ResolverStatus, ...]:
    """Return the resolvers that were asked. For any thread."""
    memory = resolver.memory
    dead = memory.dead(time.monotonic())
    return tuple(
        ResolverStatus(str(server), record.asked, record.failed, record.latency, server in dead)
        for server, record in list(memory.records.items())
        if record.asked
    )


def pinned_of(pinning: Pinning) -> PinnedStatus:
    """Return what is known of all pinned names. For any thread."""
    known = list(pinning.known.items())
    keys = {(pinning.egress.get(name, 0), address) for (name, _), found in known for address in list(found.answered)}
    return PinnedStatus(
        names=len({name for (name, _), _ in known}),
        served=len({name for (name, _), found in known if found.served}),
        addresses=len(keys),
        silent=sum(pinning.scores.get(key, UNKNOWN).failures > 0 for key in keys),
    )


def addresses_of(pinning: Pinning, state: State, now: float) -> list[AddressStatus]:
    """Return all addresses of pinned names, those that clients are answered with first. For the loop."""
    egresses = {egress.number: egress.name for egress in (state.marks.egresses if state.marks else ())}
    return list(_addresses(pinning, egresses, now))


def _addresses(pinning: Pinning, egresses: Mapping[int, str], now: float) -> Iterator[AddressStatus]:
    for (name, _family), known in sorted(pinning.known.items()):
        number = pinning.egress[name]
        rest = sorted(address for address in known.answered if address not in known.served)
        for place, address in enumerate((*known.served, *rest), 1):
            score = pinning.scores.get((number, address), UNKNOWN)
            yield AddressStatus(
                name=name,
                address=address,
                egress=egresses.get(number, ""),
                place=place if place <= len(known.served) else None,
                success=reliability(score, now),
                connect=score.connect,
                tried=score.tried or None,
                failures=score.failures,
                country=pinning.countries.of(address),
            )


def to_plain(found: list[AddressStatus]) -> Any:
    """Return addresses as plain data, for JSON."""
    return to_data(found)


def from_plain(data: Any) -> list[AddressStatus]:
    """Return the addresses read from plain data. Raises ValueError."""
    return [from_data(AddressStatus, entry) for entry in data]
