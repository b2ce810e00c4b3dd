# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_clients`: the peers of the server's interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Callable, Optional, Union

from .client_keys import CLIENT_KEYS, read_pair, read_previous
from .errors import Report
from .keys import public_key, wireguard_key
from .model import DIRECT, Address, Client, Policy, Server, Topology
from .moments import moment
from .networks import host, not_a_host
from .rates import read_rate
from .reading import Claims, Fields, good, mappings
from .rules import read_rules
from .scalars import boolean, keepalive, name, number
from .upstreams import DEFAULT_KEEPALIVE
from .words import Words

POLICY_KEYS = ("policy", "upstream", "rules", "default")
KEYS = (
    "name",
    "addresses",
    *CLIENT_KEYS,
    "persistent_keepalive",
    "rate",
    "enabled",
    "priority",
    "expires",
    *POLICY_KEYS,
)

_MANAGERS = ("private_key", "preshared_key", "persistent_keepalive", "previous")  # of clients of an adopted interface

MOST_GATEWAYS = 9  # of one client
MOST_CLIENTS = 65536  # of one interface; wireguard-go refuses more (tried), the kernel's WireGuard takes 2^20


class ClientReader:
    """Reads the clients of one topology and knows what they must not have in common."""

    def __init__(
        self,
        report: Report,
        server: Optional[Server],
        known: Words,
        default_policy: Optional[str],
        kept_keys: Mapping[str, Fields],
    ) -> None:
        self.known = known
        self.moment: Callable[[Any], int] = moment(known.zone)
        self.kept_keys = kept_keys
        self.default_policy = default_policy
        self.networks = server.addresses if server else ()
        self.adopted = server is not None and server.adopt
        self.disabled: list[Client] = []
        self.names = Claims(report, "is already the name of")
        self.addresses = Claims(report, "is already an address of")
        self.keys = Claims(report, "is already the key of")
        if server and server.private_key:
            self.keys.claim("", public_key(server.private_key), "splitway_server")

    def read(self, fields: Fields) -> Optional[Client]:
        """Return a client; None if it is wrong or disabled.

        A disabled client keeps its name, but its addresses and its key are free for another.
        """
        client_name = fields.require("name", name)
        if client_name is not None:
            self.names.claim(f"{fields.path}.name", client_name.lower(), fields.path, f'"{client_name}"')
        enabled = fields.get_or("enabled", boolean, default=True)
        addresses = fields.require_entries("addresses", host)
        for index, address in enumerate(addresses):
            if address is not None:
                self._check_address(f"{fields.path}.addresses[{index}]", address, fields.path, enabled=enabled)
        # What keys.yml made comes before what the entry says: who has his key there is given a new one, too.
        keys = self.kept_keys.get(client_name or "", fields)
        public, private = self._read_keys(keys, enabled=enabled)
        preshared = keys.get("preshared_key", wireguard_key)
        previous = read_previous(keys, public, self.moment, self.keys if enabled else None)
        expires = fields.get("expires", self.moment)
        interval = fields.get_or("persistent_keepalive", keepalive, DEFAULT_KEEPALIVE)
        policy = read_policy(fields, self.known, self.default_policy)
        rate = read_rate(fields)
        priority = fields.get_or("priority", number("a priority", 1, MOST_GATEWAYS), 1)
        if client_name is None:
            return None
        if not enabled:
            self.disabled.append(Client(client_name, good(addresses), Policy(), refused=True))
            return None
        return Client(
            client_name,
            good(addresses),
            policy,
            public,
            private,
            preshared,
            interval,
            rate,
            priority,
            expires,
            previous,
        )

    def _check_address(self, path: str, address: Address, client: str, *, enabled: bool) -> None:
        if enabled:
            self.addresses.claim(path, address, client, f'"{address}"')
        if not self.networks:
            return  # said already
        own = next((own for own in self.networks if address in own.network), None)
        if own is None:
            networks = ", ".join(str(own.network) for own in self.networks)
            self.addresses.report.add(path, f'"{address}" is in no network of splitway_server.addresses ({networks})')
            return
        problem = "is the server's own address" if address == own.ip else not_a_host(address, own.network)
        if problem:
            self.addresses.report.add(path, f'"{address}" {problem}')

    def _read_keys(self, fields: Fields, *, enabled: bool) -> tuple[Optional[str], Optional[str]]:
        for key in _MANAGERS if self.adopted else ():
            if fields.given(key):
                fields.report.add(
                    f"{fields.path}.{key}", "is for whoever manages the interface: splitway_server.adopt is true"
                )
        public, private = read_pair(fields)
        if public is not None and enabled:
            key = "public_key" if fields.given("public_key") else "private_key"
            self.keys.claim(f"{fields.path}.{key}", public, fields.path)
        return public, private


def _still_peers(disabled: Iterable[Client], enabled: Iterable[Client]) -> Iterator[Client]:
    """Yield the disabled clients of an adopted interface, whose peers they may be still: with what is theirs alone."""
    taken = {address for client in enabled for address in client.addresses}
    for client in disabled:
        own = tuple(address for address in client.addresses if address not in taken)
        taken.update(own)
        if own:
            yield replace(client, addresses=own)


def read_policy(fields: Fields, known: Words, default_policy: Optional[str]) -> Union[str, Policy]:
    """Return the name of a client's policy, or its own policy. Its rules may have the seeds' form."""
    named = fields.get("policy", known.policy)
    upstream = fields.get("upstream", known.proxy)
    default = fields.get_or("default", known.egress, DIRECT)
    rules = read_rules(fields, known, upstream, client=True)
    if fields.given("policy"):
        own = [key for key in ("upstream", "rules", "default") if fields.values.get(key) not in (None, [])]
        if own:
            fields.report.add(fields.path, f"has a policy and {' and '.join(own)} of its own: it can have only one")
        return named or ""
    if default_policy and not any(fields.given(key) for key in ("upstream", "rules", "default")):
        return default_policy
    return Policy(rules, default)


def read_clients(
    report: Report,
    entries: Any,
    server: Optional[Server],
    known: Words,
    default_policy: Optional[str],
    kept_keys: Mapping[str, Fields],
) -> tuple[Client, ...]:
    """Return the enabled clients; of an adopted interface the others as well, to be refused."""
    reader = ClientReader(report, server, known, default_policy, kept_keys)
    clients = []
    for path, entry in mappings(report, "splitway_clients", entries):
        clients.append(reader.read(Fields(report, path, entry, KEYS)))
    enabled = tuple(client for client in clients if client is not None)
    if len(enabled) > MOST_CLIENTS:
        report.add("splitway_clients", f"{len(enabled)} are enabled, a gateway takes {MOST_CLIENTS}")
    return (*enabled, *_still_peers(reader.disabled, enabled)) if reader.adopted else enabled


def without_expired(topology: Topology, now: float) -> Topology:
    """Return the topology without the clients whose time is up at `now`, in seconds since the epoch."""
    lasting = tuple(client for client in topology.clients if client.expires is None or now < client.expires)
    return topology if len(lasting) == len(topology.clients) else replace(topology, clients=lasting)
