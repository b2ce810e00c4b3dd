# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that several gateways take for theirs: one key is one client, and that is on one gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

from ..topology.errors import TopologyError, shown
from ..topology.keys import public_key, wireguard_key
from ..topology.scalars import boolean
from .reading import CLIENTS

READ_KEYS = ("name", "enabled", "priority", "public_key", "private_key")
"""The keys of an entry whose values are looked at."""


MOST_SAID = 20  # one list of clients for all gateways of a fleet would give a message for each of both


class Claim(NamedTuple):
    """Who takes a client for its own."""

    where: str  # the gateway; "": the fleet
    path: str
    name: str
    priority: str  # among the gateways of a client that has several


def disputed(clients: Mapping[str, Any], fleet: Any) -> list[str]:
    """Return a message for each client that is claimed twice.

    `clients`: splitway_clients by gateway, without the fleet's; `fleet`: the entries of splitway_fleet_clients.
    Gateways may share a client for failover: then each has another priority for it. What is wrong with an entry
    otherwise, or twice on one gateway, is said when its gateway's topology is compiled.
    """
    claims: dict[str, list[Claim]] = {}
    for key, claim in _claims("", CLIENTS, fleet):
        claims.setdefault(key, []).append(claim)
    for gateway in sorted(clients):
        for key, claim in _claims(gateway, "splitway_clients", clients[gateway]):
            claims.setdefault(key, []).append(claim)
    messages = [message for found in claims.values() if len(found) > 1 for message in _messages(found)]
    more = len(messages) - MOST_SAID
    return messages if more <= 0 else [*messages[:MOST_SAID], f"and {more} more like these"]


def _claims(where: str, variable: str, entries: Any) -> Iterator[tuple[str, Claim]]:
    """Yield the key of each enabled client that has one in the inventory, and who claims it."""
    for index, entry in enumerate(entries if isinstance(entries, (list, tuple)) else ()):
        if isinstance(entry, Mapping) and _is_enabled(entry.get("enabled")):
            key = _key(entry)
            if key is not None:
                path = f"{variable}[{index}]"
                yield key, Claim(where, path, str(entry.get("name")), str(entry.get("priority") or 1))


def _is_enabled(value: Any) -> bool:
    try:
        return value is None or boolean(value)
    except TopologyError:
        return True


def _key(entry: Mapping[str, Any]) -> Optional[str]:
    """Return a client's public key; None without a right one."""
    public, private = entry.get("public_key"), entry.get("private_key")
    try:
        if public is not None:
            return wireguard_key(str(public))
        return None if private is None else public_key(wireguard_key(str(private)))
    except TopologyError:
        return None


def _messages(claims: list[Claim]) -> Iterator[str]:
    first, *others = claims
    if not first.where:
        for other in others:
            yield f"{_who(other)} has the key of {_who(first)}, which is placed with the fleet: keep one of the two"
        return
    seen = {first.priority: first}
    for other in others:
        same = seen.setdefault(other.priority, other)
        if same.where != other.where:
            yield (
                f"{_who(other)} has the key of {_who(same)}: a client is on one gateway; if it is to have both, one "
                "after the other, give it another priority here"
            )


def _who(claim: Claim) -> str:
    return f"{claim.where and f'{claim.where}: '}{claim.path} ({shown(claim.name)})"
