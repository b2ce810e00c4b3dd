# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet and where its clients were → where they are, and why that is another place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from .choices import choices, hindrance, keep
from .matching import Seating, make_room, seat
from .model import (
    ADDRESSES,
    NEW,
    OVER_CAPACITY,
    PINNED,
    REBALANCED,
    REMOVED,
    STANDBY,
    Change,
    Gateway,
    Member,
    Place,
    Placement,
    PlacementError,
    Plan,
    gateways_of,
)
from .pools import addressed, room, scope_of
from .refusals import no_choice, no_common_key, no_room, room_by_rebalance, too_many_pins

Reasons = dict[str, Optional[str]]


def plan(members: Iterable[Member], gateways: Iterable[Gateway], before: Placement, *, rebalance: bool = False) -> Plan:
    """Return where the clients of a fleet belong.

    A client stays where it is unless it cannot; it does not make room for another. With `rebalance` all of them go
    where they would if nobody were anywhere yet. The order of the arguments is of no matter; their names are unique.
    Raises PlacementError with all that is in the way.
    """
    known = {gateway.name: gateway for gateway in sorted(gateways, key=lambda gateway: gateway.name)}
    wanted = {member.name: member for member in sorted(members, key=lambda member: member.name)}
    seating = _seating(wanted, known)
    reasons = _keep(seating, before, rebalance=rebalance)
    _evict(seating, reasons)
    seating.settled = {name: frozenset(clients) for name, clients in seating.seated.items()}
    seat(seating)
    left = _fill_up(seating)
    if left:
        remedy = () if rebalance else _by_rebalance(wanted, known, before)
        raise PlacementError(*no_room(seating, left), *remedy)
    held = {name: _ordered(seating, before, name, rebalance=rebalance) for name in wanted}
    _check_keys(wanted, known, held)
    after = addressed(held, wanted, known, before)
    changes = tuple(_changes(before, after, reasons, rebalance=rebalance))
    return Plan(after, changes, _counts(before, after, known))


def _seating(members: Mapping[str, Member], gateways: Mapping[str, Gateway]) -> Seating:
    """Return the seating with nobody in it. Raises PlacementError for clients that may be nowhere."""
    anywhere = [gateway for gateway in gateways.values() if not gateway.drain]
    limits = {name: 0 if gateway.drain else limit(gateway) for name, gateway in gateways.items()}
    allowed = {}
    errors = []
    for name, member in members.items():
        bound = member.gateway is not None or member.region is not None or member.addresses
        allowed[name] = choices(member, gateways) if bound else anywhere
        pin = member.gateway
        misses = pin is not None and (pin not in gateways or hindrance(member, gateways[pin]) is not None)
        if misses or len(allowed[name]) < member.places:
            errors.append(no_choice(member, gateways, allowed[name]))
    if errors:
        raise PlacementError(*errors)
    held: dict[str, list[str]] = {name: [] for name in members}
    return Seating(gateways, members, limits, allowed, held, {name: set() for name in gateways})


def limit(gateway: Gateway) -> int:
    """Return how many clients a gateway takes."""
    return room(gateway) if gateway.capacity is None else min(gateway.capacity, room(gateway))


def _keep(seating: Seating, before: Placement, *, rebalance: bool) -> Reasons:
    """Let clients stay where they may; return why the others leave. When all is dealt out anew only pins stay."""
    reasons: Reasons = {}
    for name, member in seating.members.items():
        kept, reasons[name] = keep(member, before.get(name, ()), seating.gateways)
        if rebalance:
            kept = [] if member.gateway is None else [member.gateway]
        for gateway in kept:
            seating.sit(name, gateway)
    return reasons


def _evict(seating: Seating, reasons: Reasons) -> None:
    """Let the clients with the lowest scores leave gateways that have more than they take."""
    errors = []
    for name, gateway in seating.gateways.items():
        excess = len(seating.seated[name]) - seating.limits[name]
        if excess <= 0:
            continue
        pinned = [client for client in seating.seated[name] if seating.members[client].gateway == name]
        if len(pinned) > seating.limits[name]:
            errors.append(too_many_pins(gateway, sorted(pinned), seating.limits[name]))
            continue
        lowest = sorted(seating.rank(client, name) for client in seating.seated[name])[:excess]
        for _, _, client in lowest:
            seating.leave(client, name)
            reasons[client] = reasons[client] or OVER_CAPACITY
    if errors:
        raise PlacementError(*errors)


def _fill_up(seating: Seating) -> list[str]:
    """Make room for those whom no gateway took; return for whom there is none."""
    left = []
    for client in seating.members:
        while seating.missing(client) > 0:
            wanted = seating.missing(client)
            make_room(seating, client)
            if seating.missing(client) == wanted:
                left.append(client)
                break
    return left


def _by_rebalance(members: Mapping[str, Member], gateways: Mapping[str, Gateway], before: Placement) -> tuple[str, ...]:
    """Return what a rebalance would do about clients that find no room, if it can do something."""
    try:
        changes = plan(members.values(), gateways.values(), before, rebalance=True).changes
    except PlacementError:
        return ()
    return (room_by_rebalance([change.client for change in changes if change.moves]),)


def _ordered(seating: Seating, before: Placement, client: str, *, rebalance: bool) -> list[str]:
    """Return a client's gateways by priority: its pin, those that it had, as they were, and then the best first."""
    pin = seating.members[client].gateway
    had = () if rebalance else gateways_of(before.get(client, ()))
    held = seating.held[client]
    if len(held) == 1:
        return held
    places = {gateway: index for index, gateway in enumerate(had)}
    scores = {gateway: seating.rank(client, gateway)[1] for gateway in held}
    return sorted(held, key=lambda name: (name != pin, places.get(name, len(places)), -scores[name], name))


def _check_keys(
    members: Mapping[str, Member], gateways: Mapping[str, Gateway], held: Mapping[str, Sequence[str]]
) -> None:
    """Raise PlacementError for clients of twins whose keys each of these would make for itself."""
    unkeyed = [name for name in held if len(held[name]) > 1 and not members[name].keyed]
    errors = []
    for name in unkeyed:
        scopes = Counter(scope_of(gateways[gateway]) for gateway in held[name])
        twins = [gateway for gateway in held[name] if scopes[scope_of(gateways[gateway])] > 1]
        if twins:
            errors.append(no_common_key(members[name], twins))
    if errors:
        raise PlacementError(*errors)


def _changes(before: Placement, after: Placement, reasons: Reasons, *, rebalance: bool) -> Iterable[Change]:
    for client in sorted({*before, *after}):
        had, has = tuple(before.get(client, ())), after.get(client, ())
        if had != has:
            yield Change(client, had, has, _why(had, has, reasons.get(client), rebalance=rebalance))


def _why(had: tuple[Place, ...], has: tuple[Place, ...], reason: Optional[str], *, rebalance: bool) -> str:
    if not had or not has:
        return REMOVED if had else NEW
    if gateways_of(had) == gateways_of(has):
        return ADDRESSES
    if reason is not None:
        return reason
    if rebalance:
        return REBALANCED
    return PINNED if len(had) == len(has) else STANDBY


def _counts(before: Placement, after: Placement, gateways: Mapping[str, Gateway]) -> dict[str, tuple[int, int]]:
    then, now = (
        Counter(place.gateway for places in placement.values() for place in places) for placement in (before, after)
    )
    return {name: (then[name], now[name]) for name in sorted({*gateways, *then})}
