# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names are answered with their best addresses, and through which egress these are tried.

dnsmasq knows no clients: a name has the same addresses for all of them, and so one egress through which they are tried.
Where rules of different policies lead it to a tunnel and directly, its addresses are seen in the tunnel only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Optional

from ..state import Pinned, Resolving
from ..topology.model import BLOCK, DIRECT, Topology
from .lists import FlatPolicy, Flattened
from .names import Holders, close, nearest_parent
from .numbers import CompileError
from .resolvers import rules_of

MOST = 1000  # names: of each one address of a family is tried twice an interval


def compile_resolving(
    topology: Topology, flattened: Flattened, numbers: Mapping[str, int], absent: tuple[str, ...]
) -> Resolving:
    """Return how names are resolved, with those that are pinned; names that do not exist for clients are not.

    Raises CompileError when they are too many.
    """
    settings = topology.resolving
    return Resolving(
        servers=settings.servers,
        interval=settings.interval,
        timeout=settings.timeout,
        tries=settings.tries,
        concurrency=settings.concurrency,
        port=settings.port,
        countries=settings.countries,
        pinned=_pinned(topology, flattened, numbers, absent),
    )


def _pinned(
    topology: Topology, flattened: Flattened, numbers: Mapping[str, int], absent: tuple[str, ...]
) -> tuple[Pinned, ...]:
    lists = [entry for entry in topology.lists if entry.pin]
    if not lists:
        return ()
    holders = close([bundle.domains for bundle in flattened.bundles]).holders
    egresses: dict[Holders, Optional[str]] = {}
    found: dict[str, list[str]] = {}
    for domain in sorted({domain for entry in lists for domain in entry.domains if "." in domain} - set(absent)):
        nearest = domain if domain in holders else nearest_parent(domain, holders)
        if not nearest:
            continue  # no policy has a rule for it
        own = holders[nearest]
        if own not in egresses:
            egresses[own] = _egress(flattened, own)
        egress = egresses[own]
        if egress is not None:
            found.setdefault(egress, []).append(domain)
    count = sum(map(len, found.values()))
    if count > MOST:
        names = ", ".join(entry.name for entry in lists)
        raise CompileError(
            f"splitway_lists: {count} names are pinned ({names}), at most {MOST} can be: "
            "pin a list of the names that matter most"
        )
    return tuple(Pinned(numbers[egress], tuple(names)) for egress, names in sorted(found.items()))


def _egress(flattened: Flattened, holders: Holders) -> Optional[str]:
    """Return the egress of such names: the first tunnel of a policy, else direct; None: they are blocked."""
    ways = [way for policy in flattened.policies for way in _ways(policy, holders)]
    return next((way for way in ways if way != DIRECT), next(iter(ways), None))


def _ways(policy: FlatPolicy, holders: Holders) -> Iterator[str]:
    """Yield where a policy's rules lead such names."""
    for _position, index, egress, some in rules_of(policy):
        if index not in holders:
            continue
        if egress != BLOCK:
            yield egress
        if not some:
            return
