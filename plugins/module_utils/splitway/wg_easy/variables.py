# SPDX-License-Identifier: GPL-3.0-or-later
"""A database of wg-easy → `splitway_server`, `splitway_clients`, and notes of all that has no place in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from ipaddress import ip_network
from typing import Any, Optional

from ..topology.errors import shown
from .assigning import Assigning
from .database import Client, Database, Interface
from .errors import DatabaseError
from .names import own_names

ADOPT, MIGRATE = "adopt", "migrate"
MODES = (ADOPT, MIGRATE)
_MOST_NAMES = 10  # in one note; the rest is counted
_EVERYTHING = {"0.0.0.0/0", "::/0"}


@dataclass(frozen=True)
class Given:
    """One client: as wg-easy has it, and as we do."""

    number: int  # wg-easy's id
    name: str  # on wg-easy's page
    value: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Variables:
    """What a gateway's variables are to say."""

    server: dict[str, Any] = field(repr=False)
    clients: tuple[Given, ...] = field(repr=False)
    notes: tuple[str, ...] = ()


def variables(database: Database, mode: str, assigning: Assigning, *, ipv6: bool = True) -> Variables:
    """Return what comes of a database.

    mode: `adopt` (the interface stays wg-easy's; without secrets) or `migrate` (all of it moves). ipv6: whether
    wg-easy does IPv6, which its database does not say. Raises DatabaseError.
    """
    split = {client.number: assigning.split(client.name) for client in database.clients}
    names = own_names((number, name) for number, (name, _) in split.items())
    given = []
    for client in database.clients:
        tagged = split[client.number][1]
        policy = assigning.policy(split[client.number][0]) if tagged is None else tagged
        value = _client(client, names[client.number], policy, mode, ipv6=ipv6)
        given.append(Given(client.number, client.name, value))
    server = _server(database.interface, mode, ipv6=ipv6)
    notes = (*_renamed(given), *_notes(database, names, mode))
    return Variables(server, tuple(given), notes)


def _server(interface: Interface, mode: str, *, ipv6: bool) -> dict[str, Any]:
    server: dict[str, Any] = {"adopt": True}
    if mode == MIGRATE:
        server = {"private_key": interface.private_key, "mtu": interface.mtu}
    server.update(
        interface=interface.name,
        listen_port=interface.port,
        addresses=[_own_address(network) for network in interface.networks[: 2 if ipv6 else 1]],
    )
    if interface.host:
        host = interface.host
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        server["endpoint"] = f"{host}:{interface.public_port}"
    return server


def _own_address(network: str) -> str:
    """Return the server's address in one of its networks: the one after the network's own."""
    try:
        found = ip_network(network, strict=False)
        return f"{found.network_address + 1}/{found.prefixlen}"
    except ValueError as error:
        raise DatabaseError(f"interfaces_table: {shown(network)} is not a network") from error


def _client(client: Client, name: str, policy: Optional[str], mode: str, *, ipv6: bool) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": name,
        "addresses": list(client.addresses[: 2 if ipv6 else 1]),
        "public_key": client.public_key,
    }
    if mode == MIGRATE:
        # An empty key is none: of a client that was made elsewhere.
        keys = {"private_key": client.private_key, "preshared_key": client.preshared_key}
        value.update({key: secret for key, secret in keys.items() if secret})
        value["persistent_keepalive"] = client.persistent_keepalive
    if policy is not None:
        value["policy"] = policy
    if not client.enabled:
        value["enabled"] = False
    end = _moment(client.expires_at)
    if end is not None:
        value["expires"] = end
    return value


def _moment(written: Optional[str]) -> Optional[str]:
    """Return a moment in UTC, to the second; None for what is none. Without a zone it is UTC, as its container is."""
    if not written:
        return None
    try:
        moment = datetime.fromisoformat(f"{written[:-1]}+00:00" if written.endswith(("Z", "z")) else written)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _renamed(given: Sequence[Given]) -> Iterator[str]:
    renamed = [f"{shown(client.name)} is called {client.value['name']}" for client in given]
    renamed = [text for text, client in zip(renamed, given) if client.name != client.value["name"]]
    if renamed:
        yield _counted(renamed, "; ")


def _notes(database: Database, names: Any, mode: str) -> Iterator[str]:
    """Yield what is in the database and not in the variables."""
    interface = database.interface
    tests: list[tuple[Callable[[Client], Any], str, bool]] = [
        (lambda c: c.networks, "networks behind clients are no clients of a gateway, and have no policy", True),
        (
            lambda c: c.expires_at and not _moment(c.expires_at),
            "expires_at is no moment: it never ends, as with wg-easy",
            True,
        ),
        (
            lambda c: _narrow(c, interface),
            "their own files lead less than everything into the tunnel; only that is split",
            True,
        ),
        (lambda c: c.mtu != interface.mtu, f"another MTU than the interface's ({interface.mtu}) is not taken", False),
        (lambda c: c.endpoint, "an endpoint of the client's is not taken: who connects says where from", False),
        (lambda c: c.hooks, "hooks are not taken, and never run", False),
        (
            lambda c: c.obfuscated,
            "what AmneziaWG disguises packets with is not taken: splitway speaks WireGuard",
            False,
        ),
        (
            lambda c: interface.firewall and c.firewall,
            "what wg-easy's firewall lets them reach is not taken: write rules with the egress block",
            False,
        ),
    ]
    for test, text, always in tests:
        found = [names[client.number] for client in database.clients if test(client)]
        if found and (always or mode == MIGRATE):
            yield f"{_counted(found)}: {text}"
    if mode == MIGRATE and interface.hooks:
        yield f"{interface.name}: {', '.join(interface.hooks)}: hooks are not taken, and never run"
    if not interface.host:
        yield "wg-easy has no host name for its clients yet: there is no endpoint"


def _narrow(client: Client, interface: Interface) -> bool:
    allowed = interface.allowed_ips if client.allowed_ips is None else client.allowed_ips
    return not _EVERYTHING & set(allowed)


def _counted(words: Sequence[str], between: str = ", ") -> str:
    """Return the first of some words, and how many more there are."""
    rest = f" and {len(words) - _MOST_NAMES} more" if len(words) > _MOST_NAMES else ""
    return between.join(words[:_MOST_NAMES]) + rest
