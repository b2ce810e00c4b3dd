# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients at a moment: whose time is up is none any more; who has a new key may still come with the one before.

WireGuard gives an address to one peer. While a client has two keys both are peers, and one of them has its addresses:
the one that shook hands last, as the agent saw it. What it saw is kept on the host and honoured by every run, as with
choices (choices.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Optional

from .state import Device, Peer, State

Holders = Mapping[str, str]
"""Client → the public key of the peer that has its addresses. Without one the previous key has them, while it lasts."""

PREVIOUS = " (previous key)"
"""What the name of a peer ends in that has a client's previous key; no client's own name can."""


def with_clients(state: State, holders: Holders, now: float) -> State:
    """Return the state with the peers of a time, in seconds since the epoch: one a client, two with a previous key.

    Those of an adopted interface are its manager's, who knows their times himself.
    """
    server = state.server
    if (
        server is None
        or server.adopted
        or not any(peer.expires is not None or peer.previous is not None for peer in server.peers)
    ):
        return state
    peers = tuple(entry for peer in server.peers for entry in _peers(peer, holders.get(peer.name), now))
    return dataclasses.replace(state, server=dataclasses.replace(server, peers=peers))


def _peers(peer: Peer, holder: Optional[str], now: float) -> Iterator[Peer]:
    if expired(peer, now):
        return
    if not in_grace(peer, now) or peer.previous is None:
        yield peer
        return
    only = dataclasses.replace(peer, previous=None)
    before = dataclasses.replace(
        only,
        name=f"{peer.name}{PREVIOUS}",
        public_key=peer.previous.public_key,
        preshared_key=peer.previous.preshared_key,
    )
    if holder is not None and holder == peer.public_key:
        yield from (only, dataclasses.replace(before, allowed_ips=()))
    else:
        yield from (dataclasses.replace(only, allowed_ips=()), before)


def expired(peer: Peer, now: float) -> bool:
    """Return whether a client's time is up."""
    return peer.expires is not None and peer.expires <= now


def in_grace(peer: Peer, now: float) -> bool:
    """Return whether a client may come with its previous key."""
    return peer.previous is not None and now < peer.previous.until and not expired(peer, now)


def ended(server: Optional[Device], now: float) -> frozenset[str]:
    """Return the keys, by name, of clients and of previous keys whose time is up."""
    found = set()
    for peer in server.peers if server else ():
        if expired(peer, now):
            found.add(peer.name)
        if peer.previous is not None and not in_grace(peer, now):
            found.add(f"{peer.name}{PREVIOUS}")
    return frozenset(found)
