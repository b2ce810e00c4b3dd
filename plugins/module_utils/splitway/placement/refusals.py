# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a fleet cannot be placed, in words for its operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .choices import hindrance
from .matching import Seating
from .model import ADDRESSES, DRAINED, REGION, Gateway, Member, listed


def no_choice(member: Member, gateways: Mapping[str, Gateway], allowed: Sequence[Gateway]) -> str:
    """Return why a client finds less gateways than it wants, whatever else is on them."""
    pin = member.gateway
    if pin is not None and pin not in gateways:
        return f'{member}: is pinned to "{pin}", which is no gateway of the fleet'
    reason = None if pin is None else hindrance(member, gateways[pin])
    if reason == DRAINED:
        return f'{member}: is pinned to "{pin}", which is drained: pin it to another, or not at all'
    if reason == REGION:
        return f'{member}: is pinned to "{pin}", which is not in its region "{member.region}"'
    addresses = ", ".join(map(str, member.addresses))
    if reason == ADDRESSES:
        return f'{member}: is pinned to "{pin}", where a client cannot have {addresses}'
    bounds = ["not drained"]
    bounds += [f'in its region "{member.region}"'] if member.region is not None else []
    bounds += [f"where a client can have {addresses}"] if member.addresses else []
    wants = "1 gateway that is" if member.places == 1 else f"{member.places} gateways that are"
    names = ", ".join(gateway.name for gateway in allowed)
    there = f"there are {len(allowed)} ({names})" if len(allowed) > 1 else f"there is one ({names})"
    return f"{member}: wants {wants} {' and '.join(bounds)}; {there if allowed else 'there is none'}"


def too_many_pins(gateway: Gateway, pinned: Sequence[str], limit: int) -> str:
    """Return that more clients are pinned to a gateway than it takes."""
    return f"{_takes(gateway, limit)}, {len(pinned)} are pinned to it: {listed(pinned)}"


def no_room(seating: Seating, left: Iterable[str]) -> list[str]:
    """Return, for each choice of gateways, which clients find no room on them and what limits those."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for client in left:
        groups.setdefault(tuple(gateway.name for gateway in seating.choices[client]), []).append(client)
    lines = []
    for names, clients in groups.items():
        limits = listed([_takes(seating.gateways[name], seating.limits[name]) for name in names], "; ")
        total = f"; in all {sum(seating.limits[name] for name in names)}" if len(names) > 1 else ""
        lines.append(f"no room for {listed(sorted(clients))}: {limits}{total}")
    return lines


def room_by_rebalance(moving: Sequence[str]) -> str:
    """Return that there is room for all if others move, and who these are."""
    who = "1 client" if len(moving) == 1 else f"{len(moving)} clients"
    return f"with splitway_rebalance there is room for all, and {who} would move: {listed(moving)}"


def no_common_key(member: Member, twins: Sequence[str]) -> str:
    """Return that gateways with one key would each know a client by another."""
    return f"{member}: is on {listed(twins)}, which have one private_key: it needs a key of its own in the inventory"


def _takes(gateway: Gateway, limit: int) -> str:
    clients = "1 client" if limit == 1 else f"{limit} clients"
    if gateway.capacity is not None and gateway.capacity <= limit:
        return f"{gateway.name} takes {clients} (splitway_placement.capacity)"
    pools = ", ".join(str(own.network) for own in gateway.addresses)
    return f"{gateway.name} takes {clients} (its pool {pools})"
