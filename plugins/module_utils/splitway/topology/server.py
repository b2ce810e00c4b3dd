# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_server`: the gateway's side that clients connect to."""

from __future__ import annotations

from typing import Any, Callable, Optional

from .endpoints import endpoint
from .errors import Report
from .keys import wireguard_key
from .model import BLOCK, DIRECT, Interface, Server
from .networks import server_address
from .reading import Fields, good
from .scalars import boolean, number, port, server_interface
from .websocket import SERVER_KEYS, read_websocket_server
from .words import Words

KEYS = (
    "interface",
    "listen_port",
    "addresses",
    "private_key",
    "endpoint",
    "mtu",
    "nat",
    "websocket",
    "adopt",
    "unknown_clients",
)
_MANAGERS = ("private_key", "mtu")  # of an interface that is somebody else's

# The least that IPv4 and IPv6 ask for, and an IP packet's 65,535 bytes less what WireGuard adds over IPv6.
LEAST_MTU = {4: 576, 6: 1280}
LARGEST_MTU = 65535 - 80


def read_server(report: Report, value: Any, known: Words, *, required: bool = True) -> Optional[Server]:
    """Return the server with those of its values that are right; None if there is none."""
    path = "splitway_server"
    if value is None:
        if required:
            report.add(path, "is required")
        return None
    fields = Fields(report, path, value, KEYS)
    if not isinstance(value, dict):
        return None  # said already
    listen_port = fields.get_or("listen_port", port, 51820)
    addresses = fields.require_entries("addresses", server_address)
    check_overlaps(report, f"{path}.addresses", addresses)
    # With one of them wrong nothing can be said about the clients': none is better than some.
    right: tuple[Interface, ...] = () if None in addresses else good(addresses)
    adopt = fields.get_or("adopt", boolean, default=False)
    return Server(
        interface=fields.get_or("interface", server_interface, "wg0"),
        listen_port=listen_port,
        addresses=right,
        private_key=fields.get("private_key", wireguard_key),
        endpoint=fields.get("endpoint", lambda written: endpoint(written, listen_port)),
        mtu=fields.get("mtu", mtu_parser(v6=any(entry.version == 6 for entry in right))),
        nat=fields.get_or("nat", boolean, default=True),
        websocket=read_websocket_server(fields, SERVER_KEYS),
        adopt=adopt,
        unknown_clients=_read_unknown_clients(fields, known, adopt=adopt),
    )


def _read_unknown_clients(fields: Fields, known: Words, *, adopt: bool) -> str:
    """Return what those get that nobody listed, and report what does not go with whose interface it is."""
    for key in _MANAGERS if adopt else ():
        if fields.given(key):
            fields.report.add(f"{fields.path}.{key}", "is for whoever manages the interface to say: it is adopted")
    if fields.given("unknown_clients") and not adopt:
        fields.report.add(
            f"{fields.path}.unknown_clients",
            "needs adopt: true: an interface of ours knows nobody but splitway_clients",
        )
    return fields.get_or("unknown_clients", lambda written: _verdict(written, known), BLOCK)


def _verdict(written: Any, known: Words) -> str:
    """Return block, direct or the name of a policy."""
    return str(written) if written in (BLOCK, DIRECT) else known.policy(written)


def mtu_parser(*, v6: bool, what: str = "an MTU") -> Callable[[Any], int]:
    """Return the parser of an MTU; an interface with less than 1280 bytes loses its IPv6."""
    return number(what if not v6 else f"{what} for IPv6", LEAST_MTU[6 if v6 else 4], LARGEST_MTU)


def check_overlaps(report: Report, path: str, addresses: list[Optional[Interface]]) -> None:
    """Report each address of an interface whose network overlaps that of one before it."""
    for index, entry in enumerate(addresses):
        for other in addresses[:index]:
            if entry and other and entry.version == other.version and entry.network.overlaps(other.network):
                report.add(f"{path}[{index}]", f'"{entry}" overlaps "{other}"')
                break
