# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients' addresses: one of each family from the networks of each of their gateways, kept while they can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from ..topology.clients import MOST_CLIENTS
from ..topology.model import Address, Network
from ..topology.networks import not_a_host
from .model import Gateway, Member, Place, Placement, PlacementError, listed

Scope = tuple[str, ...]
"""Gateways among which an address is one client's only: a gateway alone, or twins with the same networks."""


def room(gateway: Gateway) -> int:
    """Return how many clients of the fleet find an address of each family on a gateway."""
    families = {own.version for own in gateway.addresses}
    if not families:
        return MOST_CLIENTS
    return max(0, min(MOST_CLIENTS - len(gateway.taken), *(_room(gateway, version) for version in families)))


def _room(gateway: Gateway, version: int) -> int:
    hosts = 0
    for own in gateway.addresses:
        if own.version == version:
            network: Network = own.network
            special = 0 if network.max_prefixlen - network.prefixlen <= 1 else 2 if version == 4 else 1
            hosts += network.num_addresses - special - 1
    taken = (address for address in gateway.taken if address.version == version)
    return hosts - sum(1 for address in taken if _network(gateway, address) is not None)


def _network(gateway: Gateway, address: Address) -> Optional[Network]:
    return next((own.network for own in gateway.addresses if address in own.network), None)


class Pool:
    """The addresses of one scope."""

    def __init__(self, gateways: Sequence[Gateway]) -> None:
        self.networks: list[Network] = [own.network for own in gateways[0].addresses]
        self.owners: dict[Address, str] = {}
        for gateway in gateways:
            self.owners.update(dict.fromkeys(gateway.taken, f"another client of {gateway.name}"))
            self.owners.update((own.ip, gateway.name) for own in gateway.addresses)
        self._next = {network: int(network.network_address) for network in self.networks}

    def versions(self) -> list[int]:
        return sorted({network.version for network in self.networks})

    def take(self, address: Address, client: str) -> bool:
        """Give an address to a client; return whether it could be."""
        network = next((network for network in self.networks if address in network), None)
        if network is None or address in self.owners or not_a_host(address, network):
            return False
        self.owners[address] = client
        return True

    def lowest(self, version: int, client: str) -> Optional[Address]:
        """Give the lowest free address of a family to a client; None if there is none left."""
        for network in self.networks:
            while network.version == version and self._next[network] <= int(network.broadcast_address):
                address = type(network.network_address)(self._next[network])
                self._next[network] += 1
                if self.take(address, client):
                    return address
        return None


class Book:
    """Which client has which addresses in which scope, while they are given out."""

    def __init__(self, held: Mapping[str, Sequence[str]], gateways: Mapping[str, Gateway]) -> None:
        self.scopes = {name: scope_of(gateway) for name, gateway in gateways.items()}
        members: dict[Scope, list[Gateway]] = {}
        for name in sorted(gateways):
            members.setdefault(self.scopes[name], []).append(gateways[name])
        self.pools = {scope: Pool(twins) for scope, twins in members.items()}
        self.given: dict[tuple[str, Scope], list[Address]] = {}
        self.held = held
        self.errors: list[str] = []
        self.full: dict[str, list[str]] = {}  # networks → clients for which they have no address

    def wanted(self, client: str) -> Iterable[tuple[str, Scope]]:
        """Yield the gateways of a client, one of each scope."""
        found = {self.scopes[gateway]: gateway for gateway in reversed(self.held[client])}
        for scope, gateway in found.items():
            self.given.setdefault((client, scope), [])
            yield gateway, scope

    def fix(self, member: Member) -> None:
        """Give a client the addresses that it has wherever it is."""
        for gateway, scope in self.wanted(member.name):
            pool = self.pools[scope]
            for address in member.addresses:
                if pool.take(address, member.name):
                    self.given[member.name, scope].append(address)
                else:
                    owner = pool.owners.get(address)
                    has = f'is already an address of "{owner}"' if owner else "is none that a client can have"
                    self.errors.append(f'{member}: "{address}" {has} on {gateway}')

    def adopt(self, client: str, places: Sequence[Place], *, moved: bool) -> None:
        """Give a client addresses that it had, on the same gateways or, moved, on others."""
        for _, scope in self.wanted(client):
            given = self.given[client, scope]
            for place in places:
                same = self.scopes.get(place.gateway) == scope
                for address in place.addresses if moved or same else ():
                    has = any(other.version == address.version for other in given)
                    if not has and self.pools[scope].take(address, client):
                        given.append(address)

    def fill(self, client: str) -> None:
        """Give a client the lowest free address of each family that it has none of."""
        for gateway, scope in self.wanted(client):
            pool, given = self.pools[scope], self.given[client, scope]
            for version in pool.versions():
                if all(address.version != version for address in given):
                    address = pool.lowest(version, client)
                    if address is None:
                        networks = ", ".join(str(own) for own in pool.networks if own.version == version)
                        self.full.setdefault(f"splitway_server.addresses of {gateway}: {networks}", []).append(client)
                    else:
                        given.append(address)


def scope_of(gateway: Gateway) -> Scope:
    """Return the scope of a gateway's addresses."""
    networks = sorted(str(own.network) for own in gateway.addresses)
    return (gateway.twins, *networks) if gateway.twins else (gateway.name,)


def addressed(
    held: Mapping[str, Sequence[str]], members: Mapping[str, Member], gateways: Mapping[str, Gateway], before: Placement
) -> Placement:
    """Return the clients' places with their addresses. Raises PlacementError with all that is in the way."""
    book = Book(held, gateways)
    names = sorted(held)
    free = [name for name in names if not members[name].addresses]
    for name in names:
        if members[name].addresses:
            book.fix(members[name])
    for name in free:
        book.adopt(name, before.get(name, ()), moved=False)
    for name in free:
        book.adopt(name, before.get(name, ()), moved=True)
    for name in free:
        book.fill(name)
    full = [f"{networks} has no address left for {listed(clients)}" for networks, clients in book.full.items()]
    if book.errors or full:
        raise PlacementError(*book.errors, *full)
    return {name: tuple(_place(book, name, gateway) for gateway in held[name]) for name in names}


def _place(book: Book, client: str, gateway: str) -> Place:
    given = book.given[client, book.scopes[gateway]]
    return Place(gateway, tuple(sorted(given, key=lambda address: (address.version, int(address)))))
