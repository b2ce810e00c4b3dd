# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_fleet_clients` and each gateway's `splitway_placement`: read and checked, all errors at once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ..topology import clients as topology_clients
from ..topology import server as topology_server
from ..topology.errors import Report, TopologyError, shown
from ..topology.model import Address, Interface
from ..topology.networks import host, server_address
from ..topology.parse import VARIABLES as OF_TOPOLOGIES
from ..topology.plain import plain
from ..topology.reading import Claims, Fields, check_slips, good, mappings
from ..topology.scalars import boolean, name, number, reference
from .model import Gateway, Member
from .pools import room

CLIENTS, GATEWAY, FILE, REBALANCE = (
    "splitway_fleet_clients",
    "splitway_placement",
    "splitway_placement_file",
    "splitway_rebalance",
)
VARIABLES = (CLIENTS, GATEWAY, FILE, REBALANCE)

GATEWAY_KEYS = ("weight", "capacity", "region", "drain")
MEMBER_KEYS = ("gateway", "region", "standby")
"""What an entry of splitway_fleet_clients has beside the keys of splitway_clients."""
ENTRY_KEYS = (*(key for key in topology_clients.KEYS if key != "priority"), *MEMBER_KEYS)
READ_KEYS = ("name", "addresses", *MEMBER_KEYS)
"""The keys of an entry whose values placement looks at."""

MOST_STANDBY = 8
HEAVIEST = 1000
_DECIMAL = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")


@dataclass(frozen=True)
class Fleet:
    """What is to be placed, and where."""

    gateways: tuple[Gateway, ...]
    members: tuple[Member, ...]


def read_fleet(clients: Any, gateways: Mapping[str, Mapping[str, Any]]) -> Fleet:
    """Return the fleet of the entries of splitway_fleet_clients and each gateway's variables, without templates.

    `splitway_clients` of a gateway: those that are its own and none of the fleet's.
    Raises TopologyError with all that is wrong.
    """
    report = Report()
    names = dict.fromkeys(key for variables in gateways.values() for key in variables)
    check_slips(report, names, (*OF_TOPOLOGIES, *VARIABLES))
    twins = _twins(gateways)
    found = tuple(_gateway(report, name, gateways[name], twins.get(name, "")) for name in sorted(gateways))
    regions = frozenset(gateway.region for gateway in found if gateway.region is not None)
    reader = _MemberReader(report, frozenset(gateways), regions)
    entries = mappings(report, CLIENTS, plain(clients, CLIENTS, report))
    members = [reader.read(Fields(report, path, entry, ENTRY_KEYS)) for path, entry in entries]
    report.finish()
    return Fleet(found, tuple(member for member in members if member is not None))


def _twins(gateways: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return, for gateways that have one server key, the name of the first of them."""
    by_key: dict[str, list[str]] = {}
    for gateway in sorted(gateways):
        server = gateways[gateway].get("splitway_server")
        key = server.get("private_key") if isinstance(server, Mapping) else None
        if key is not None:
            by_key.setdefault(str(key), []).append(gateway)
    return {gateway: twins[0] for twins in by_key.values() if len(twins) > 1 for gateway in twins}


def _gateway(report: Report, gateway: str, variables: Mapping[str, Any], twins: str) -> Gateway:
    """Return a gateway with those of its values that are right."""
    path = f"{gateway}: {GATEWAY}"
    addresses = _networks(report, f"{gateway}: splitway_server", variables.get("splitway_server"))
    fields = Fields(report, path, plain(variables.get(GATEWAY), path, report), GATEWAY_KEYS)
    found = Gateway(
        name=gateway,
        weight=fields.get_or("weight", weight, 1.0),
        capacity=fields.get("capacity", number("a number of clients", 0, topology_clients.MOST_CLIENTS)),
        region=fields.get("region", name),
        drain=fields.get_or("drain", boolean, default=False),
        addresses=addresses,
        taken=_taken(variables.get("splitway_clients")),
        twins=twins,
    )
    most = room(dataclasses.replace(found, taken=frozenset()))
    if found.capacity is not None and found.capacity > most and addresses:
        networks = ", ".join(str(own.network) for own in addresses)
        report.add(
            f"{path}.capacity", f"{found.capacity} is more than splitway_server.addresses hold: {networks}: {most}"
        )
    return found


def weight(value: Any) -> float:
    """Return a gateway's weight, above 0."""
    found = value
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        found = float(value)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found <= HEAVIEST:
        raise TopologyError(f"{shown(value)} is not a weight (above 0, at most {HEAVIEST})")
    return float(found)


def _networks(report: Report, path: str, value: Any) -> tuple[Interface, ...]:
    """Return the addresses of a gateway's server. What else is wrong with it is said when it is compiled."""
    if value is None:
        report.add(path, "is required: a client of the fleet gets its addresses from this gateway's networks")
        return ()
    fields = Fields(report, path, plain(value, path, report), topology_server.KEYS)
    return good(fields.require_entries("addresses", server_address))


def _taken(clients: Any) -> frozenset[Address]:
    """Return the addresses of a gateway's own clients. What is wrong with them is said when they are compiled."""
    silent = Report()
    found: set[Address] = set()
    for path, entry in mappings(silent, "splitway_clients", plain(clients, "splitway_clients", silent)):
        found.update(good(Fields(silent, path, entry, topology_clients.KEYS).entries("addresses", host)))
    return frozenset(found)


class _MemberReader:
    """Reads the fleet's clients and knows what they must not have in common, and what there is to name."""

    def __init__(self, report: Report, gateways: frozenset[str], regions: frozenset[str]) -> None:
        self.names = Claims(report, "is already the name of")
        self.gateway = reference("a gateway of the fleet", gateways)
        self.region = reference("the region of a gateway", regions)
        self.standby = number("a number of standby gateways", 0, MOST_STANDBY)

    def read(self, fields: Fields) -> Optional[Member]:
        """Return a client; None if it has no right name."""
        client = fields.require("name", name)
        if client is not None:
            self.names.claim(f"{fields.path}.name", client.lower(), fields.path, f'"{client}"')
        member = Member(
            name=client or "",
            gateway=fields.get("gateway", self.gateway),
            region=fields.get("region", self.region),
            standby=fields.get_or("standby", self.standby, 0),
            addresses=good(fields.entries("addresses", host)),
            keyed=fields.given("public_key") or fields.given("private_key"),
            path=fields.path,
        )
        return None if client is None else member
