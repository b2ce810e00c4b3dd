# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_upstreams`: the tunnels out of the gateway."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, Callable, Optional

from .dns import read_upstreams_own
from .endpoints import endpoint
from .errors import Report
from .health import read_health
from .kept_keys import KeptKeys
from .keys import public_key, wireguard_key
from .model import BLOCK, Interface, Network, Server, Upstream
from .networks import interface, network
from .reading import Claims, Fields, good, mappings
from .scalars import boolean, egress_name, keepalive
from .server import mtu_parser
from .websocket import read_transport
from .words import Words

KEYS = (
    "name",
    "endpoint",
    "public_key",
    "private_key",
    "preshared_key",
    "allowed_ips",
    "addresses",
    "mtu",
    "persistent_keepalive",
    "enabled",
    "nat",
    "health",
    "on_down",
    "resolvers",
    "transport",
    "websocket",
)
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
AUTO = "auto"  # an MTU that follows the path
DEFAULT_KEEPALIVE = 25  # seconds; a NAT on the way forgets a quiet flow after 30


def read_upstreams(
    report: Report, entries: Any, server: Optional[Server], known: Words, names: Claims, kept_keys: KeptKeys
) -> tuple[Upstream, ...]:
    """Return the upstreams, disabled ones too: what leads to them must stay blocked."""
    upstreams = []
    for path, entry in mappings(report, "splitway_upstreams", entries):
        upstreams.append(_read(Fields(report, path, entry, KEYS), server, known, names, kept_keys))
    return good(upstreams)


def _read(
    fields: Fields, server: Optional[Server], known: Words, names: Claims, kept_keys: KeptKeys
) -> Optional[Upstream]:
    name = fields.require("name", egress_name("upstream"))
    if name is not None:
        names.claim(f"{fields.path}.name", name.lower(), fields.path, f'"{name}"')
    where = fields.require("endpoint", endpoint)
    public = fields.require("public_key", wireguard_key)
    keys = kept_keys.get(name or "", fields)
    private = keys.get("private_key", wireguard_key)
    if private is not None and public == public_key(private):
        fields.report.add(f"{fields.path}.public_key", "belongs to this upstream's own private_key: give the exit's")
    addresses = _read_addresses(fields, server)
    allowed: tuple[Network, ...] = EVERYTHING
    if fields.given("allowed_ips"):
        allowed = good(fields.require_entries("allowed_ips", network))
    nat = fields.get_or("nat", boolean, default=True)
    v6 = any(entry.version == 6 for entry in (addresses if nat else (*addresses, *allowed)))
    mtu = fields.get("mtu", _mtu_or_auto(v6=v6))
    preshared = keys.get("preshared_key", wireguard_key)
    interval = fields.get_or("persistent_keepalive", keepalive, DEFAULT_KEEPALIVE)
    enabled = fields.get_or("enabled", boolean, default=True)
    ways = allowed if not nat else tuple(net for net in allowed if any(net.version == own.version for own in addresses))
    health = read_health(fields, ways)
    on_down = fields.get_or("on_down", known.egress, BLOCK)
    resolvers = read_upstreams_own(fields, ways)
    transport, websocket = read_transport(fields, where)
    if name is None or where is None or public is None:
        return None
    return Upstream(
        name=name,
        endpoint=where,
        public_key=public,
        allowed_ips=allowed,
        addresses=addresses,
        private_key=private,
        preshared_key=preshared,
        mtu=mtu,
        persistent_keepalive=interval,
        enabled=enabled,
        nat=nat,
        health=health,
        on_down=on_down,
        resolvers=resolvers,
        transport=transport,
        websocket=websocket,
    )


def _mtu_or_auto(*, v6: bool) -> Callable[[Any], Optional[int]]:
    parse = mtu_parser(v6=v6, what=f"{AUTO} or an MTU")
    return lambda value: None if value == AUTO else parse(value)


def _read_addresses(fields: Fields, server: Optional[Server]) -> tuple[Interface, ...]:
    """Return the tunnel's own addresses, none of them in the clients' networks.

    Two upstreams may have the same one: some providers give it to all their customers.
    """
    addresses: list[Optional[Interface]] = fields.entries("addresses", interface)
    for index, entry in enumerate(addresses):
        for own in server.addresses if server and entry else ():
            if entry and entry.version == own.version and entry.network.overlaps(own.network):
                fields.report.add(
                    f"{fields.path}.addresses[{index}]", f'"{entry}" overlaps the server\'s network {own.network}'
                )
    return good(addresses)
