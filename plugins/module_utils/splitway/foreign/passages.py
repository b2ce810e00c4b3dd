# SPDX-License-Identifier: GPL-3.0-or-later
"""The packets that a gateway lives on: what must pass the rules of others for clients to have what a state gives."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from ..state import FAMILIES, Device, Marks, State, mark_of
from .model import ESTABLISHED, NEW, Packet

_ANYWHERE = {4: "198.51.100.1", 6: "2001:db8::1"}  # some host in the Internet (documentation addresses)
_PAGE = 443


def passages(state: State, uplinks: Mapping[int, str]) -> Iterator[Packet]:
    """Yield the packets; `uplinks`: family → the interface of the default route."""
    marks, server = state.marks, state.server
    if marks is None or server is None:
        return
    for family in FAMILIES:
        client = next(iter(marks.family(family).clients), "") or _unknown_client(marks, family)
        if client:
            yield from _through(marks, family, client, uplinks.get(family, ""))
            yield from _to_the_gateway(marks, family, client)
    for family, uplink in uplinks.items():
        yield from _tunnel(server, family, uplink)


def _unknown_client(marks: Marks, family: int) -> str:
    """Return an address of the clients' network, if who is in no list of clients has a policy there."""
    networks = (ipaddress.ip_network(entry.network) for entry in marks.unknown if entry.policy is not None)
    return next((str(network[-2]) for network in networks if network.version == family), "")


def _through(marks: Marks, family: int, client: str, uplink: str) -> Iterator[Packet]:
    ways = {egress.interface: egress.number for egress in marks.egresses if egress.interface}
    if uplink:
        ways = {uplink: 0, **ways}
    for interface, number in ways.items():
        yield Packet(
            f"from clients to {interface}", "forward", family, "tcp", _PAGE, NEW, marks.interface, interface,
            client, _ANYWHERE[family], mark=mark_of(number, marks.mask),
        )  # fmt: skip
        yield Packet(
            f"from {interface} back to clients", "forward", family, "tcp", 40000, ESTABLISHED, interface,
            marks.interface, _ANYWHERE[family], client, _PAGE, mark_of(0, marks.mask),
        )  # fmt: skip


def _to_the_gateway(marks: Marks, family: int, client: str) -> Iterator[Packet]:
    mark = mark_of(0, marks.mask)
    wanted = [("udp", 53), ("tcp", 53), *((opened.protocol, opened.low) for opened in marks.guard.ports or ())]
    address = next((entry for entry in marks.guard.resolvers if (":" in entry) == (family == 6)), "")
    if not address:
        return
    for protocol, port in wanted:
        yield Packet(
            f"{protocol}/{port} from clients to the gateway", "input", family, protocol, port, NEW, marks.interface, "",
            client, address, mark=mark,
        )  # fmt: skip
    yield Packet(
        "answers of the gateway's resolver", "output", family, "udp", 40000, ESTABLISHED, "", marks.interface,
        address, client, 53,
    )  # fmt: skip


def _tunnel(server: Device, family: int, uplink: str) -> Iterator[Packet]:
    if server.listen_port is not None:
        yield Packet(
            f"WireGuard from clients at udp/{server.listen_port}", "input", family, "udp", server.listen_port, NEW,
            uplink, "", _ANYWHERE[family],
        )  # fmt: skip
        yield Packet(
            "WireGuard back to clients", "output", family, "udp", 40000, ESTABLISHED, "", uplink,
            "", _ANYWHERE[family], server.listen_port,
        )  # fmt: skip
