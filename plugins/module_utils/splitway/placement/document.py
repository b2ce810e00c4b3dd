# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that keeps a placement: JSON, a line a client in the order of their names, so that git shows who moved.

What is around the clients makes it a right inventory file, too: Ansible reads every file of an inventory that is a
folder, and takes other JSON there for hosts and groups.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..topology.errors import TopologyError, shown
from ..topology.model import Address
from ..topology.networks import host
from .model import Place, Placement, PlacementError

VERSION = 1
GROUP, VARIABLE = "splitway_gateways", "__splitway_placement"

Kept = Mapping[str, Sequence[Mapping[str, Any]]]
"""The file's clients as it has them: `gateway` and `addresses` of each place."""


def text(placement: Placement) -> str:
    """Return the file's text."""
    frame = json.dumps({GROUP: {"vars": {VARIABLE: {"version": VERSION, "clients": {}}}}})
    cut = frame.index("{}") + 1
    lines = [f"{json.dumps(name)}: {json.dumps(_data(placement[name]))}" for name in sorted(placement)]
    return "\n".join((frame[:cut], *([",\n".join(lines)] if lines else []), f"{frame[cut:]}\n"))


def _data(places: Sequence[Place]) -> list[dict[str, Any]]:
    return [{"gateway": place.gateway, "addresses": [str(address) for address in place.addresses]} for place in places]


def kept(text: str, path: str) -> Kept:
    """Return the clients of a file's text. Raises PlacementError, which names the path."""
    try:
        data = json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise PlacementError(f"{path} is damaged ({error}): {_REMEDY}") from None
    except RecursionError:
        raise PlacementError(f"{path} is none of splitway's files of placements") from None
    try:
        found = data[GROUP]["vars"][VARIABLE]
        version, clients = found["version"], found["clients"]
    except (KeyError, TypeError, IndexError):
        raise PlacementError(f"{path} is none of splitway's files of placements") from None
    if version != VERSION:
        raise PlacementError(f"{path} has the version {shown(version)}, this splitway reads {VERSION}: use a newer one")
    if not isinstance(clients, dict):
        raise PlacementError(f"{path} is damaged (its clients are no mapping): {_REMEDY}")
    for name, places in clients.items():
        if not isinstance(places, list) or not places or not all(map(_is_place, places)):
            raise _damaged(path, name, "a gateway and its addresses are wanted, for each of its places")
        if len({place["gateway"] for place in places}) < len(places):
            raise _damaged(path, name, "it is on one gateway twice")
    return clients


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a mapping. Raises ValueError for a key that is there twice, as after a merge that kept both sides."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:index]))
        raise ValueError(f"{shown(twice)} is there twice")
    return found


_REMEDY = "bring back the one before from git; without one all clients are placed anew"


def _damaged(path: str, name: str, problem: object) -> PlacementError:
    return PlacementError(f"{path} is damaged (at {shown(name)}: {problem}): {_REMEDY}")


def _is_place(place: Any) -> bool:
    if not isinstance(place, dict) or not isinstance(place.get("gateway"), str):
        return False
    addresses = place.get("addresses")
    return isinstance(addresses, list) and all(isinstance(address, str) for address in addresses)


def placement_of(clients: Kept, path: str) -> Placement:
    """Return the placement in a file. Raises PlacementError for what is no address."""
    return {
        name: tuple(Place(place["gateway"], addresses_of(name, place, path)) for place in places)
        for name, places in clients.items()
    }


def addresses_of(name: str, place: Mapping[str, Any], path: str) -> tuple[Address, ...]:
    """Return a client's addresses at one of its places in a file. Raises PlacementError for what is none."""
    try:
        return tuple(map(host, place["addresses"]))
    except TopologyError as error:
        raise _damaged(path, name, error) from None
