# SPDX-License-Identifier: GPL-3.0-or-later
"""On which gateways a client may be, which of its places it keeps, and why it loses the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from ..topology.model import Address
from ..topology.networks import not_a_host
from .model import ADDRESSES, DRAINED, GONE, PINNED, REGION, STANDBY, Gateway, Member, Place


def choices(member: Member, gateways: Mapping[str, Gateway]) -> list[Gateway]:
    """Return the gateways that may carry a client, in the order of their names.

    A pin is for the first gateway; standby gateways are any others of the client's region.
    """
    names = [member.gateway] if member.gateway is not None and not member.standby else sorted(gateways)
    return [gateways[name] for name in names if name in gateways and not hindrance(member, gateways[name])]


def hindrance(member: Member, gateway: Gateway) -> Optional[str]:
    """Return why a gateway may not carry a client, in the words of a change; None if it may."""
    if gateway.drain:
        return DRAINED
    if member.region is not None and member.region != gateway.region:
        return REGION
    if not all(_fits(address, gateway) for address in member.addresses):
        return ADDRESSES
    return None


def _fits(address: Address, gateway: Gateway) -> bool:
    """Return whether a client of the gateway can have an address."""
    own = next((own for own in gateway.addresses if address in own.network), None)
    if own is None or address in gateway.taken:
        return False
    return address != own.ip and not_a_host(address, own.network) is None


def keep(member: Member, places: Sequence[Place], gateways: Mapping[str, Gateway]) -> tuple[list[str], Optional[str]]:
    """Return the gateways of a client that it stays on, its pin first, and why it loses the first of the others."""
    kept: list[str] = [] if member.gateway is None else [member.gateway]
    why = None
    for index, place in enumerate(places):
        if place.gateway in kept:
            continue
        gateway = gateways.get(place.gateway)
        reason = GONE if gateway is None else hindrance(member, gateway)
        if reason is None and len(kept) < member.places:
            kept.append(place.gateway)
            continue
        if reason is None:
            reason = PINNED if member.gateway is not None and index == 0 else STANDBY
        why = why or reason
    return kept, why
