# SPDX-License-Identifier: GPL-3.0-or-later
"""The `splitway_clients` of one gateway: its part of `splitway_fleet_clients`, by the file of the placement."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional

from ..topology.errors import TopologyError, shown
from ..topology.model import Address
from ..topology.networks import host
from .document import Kept, addresses_of
from .model import PlacementError, listed
from .reading import CLIENTS, MEMBER_KEYS

Entry = Mapping[str, Any]


def given(gateway: str, entries: Sequence[Entry], clients: Kept, gateways: Collection[str], path: str) -> list[Entry]:
    """Return a gateway's clients as the topology has them, each with its addresses and its priority here.

    A client that is in the file and no more in the inventory is on no gateway, and that is all there is to it: who is
    removed is removed at once.
    Raises PlacementError when the inventory has a client otherwise than the file, which `path` names: it would be on a
    gateway that it is not meant for, or on none. So it does when two clients have one address here, as after a merge.
    """
    found: list[Entry] = []
    stale = []
    holders: dict[Address, str] = {}
    for entry in entries:
        name: Any = entry.get("name")
        places = clients.get(name, ()) if isinstance(name, str) else ()
        problem = _stale(entry, places, gateways)
        if problem is not None:
            stale.append(f"{shown(name)} {problem}")
        for index, place in enumerate(places):
            if place["gateway"] == gateway and problem is None:
                found.append(_entry(entry, place["addresses"], index + 1))
                for address in addresses_of(name, place, path):
                    holder = holders.setdefault(address, name)
                    if holder != name:
                        stale.append(f"{shown(name)} has the address {address} of {shown(holder)} there")
    if stale:
        raise PlacementError(
            f"{CLIENTS} is not as {path} has it, run splitway.gateway.placement: {listed(stale, '; ')}"
        )
    return found


def _stale(entry: Entry, places: Sequence[Mapping[str, Any]], gateways: Collection[str]) -> Optional[str]:
    """Return how a client's places in the file are not what the inventory says, None if they are."""
    if not places:
        return "is not in it"
    gone = [place["gateway"] for place in places if place["gateway"] not in gateways]
    if gone:
        return f"is on {shown(gone[0])}, which is no gateway of the fleet"
    pin = entry.get("gateway")
    if pin is not None and pin != places[0]["gateway"]:
        return f"is on {places[0]['gateway']}, its gateway is {shown(pin)}"
    if str(entry.get("standby") or 0) != str(len(places) - 1):
        return f"is on {len(places)} gateways there, its standby is {shown(entry.get('standby') or 0)}"
    if entry.get("addresses") and any(_differ(entry["addresses"], place["addresses"]) for place in places):
        return "has other addresses there"
    return None


def _differ(wanted: Any, kept: Sequence[str]) -> bool:
    try:
        return {str(host(address)) for address in wanted} != set(kept)
    except (TopologyError, TypeError):
        return True


def _entry(entry: Entry, addresses: Sequence[str], priority: int) -> Entry:
    own = {key: value for key, value in entry.items() if key not in (*MEMBER_KEYS, "addresses")}
    return {**own, "addresses": list(addresses), **({"priority": priority} if priority > 1 else {})}
