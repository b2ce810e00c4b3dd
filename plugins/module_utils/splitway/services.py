# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocols and ports of a flow's first packet, and the rules' conditions on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

NUMBERS: Mapping[str, Mapping[int, int]] = {
    "tcp": {4: 6, 6: 6},
    "udp": {4: 17, 6: 17},
    "icmp": {4: 1, 6: 58},  # for IPv6 it is ICMPv6
    "sctp": {4: 132, 6: 132},
    "gre": {4: 47, 6: 47},
    "esp": {4: 50, 6: 50},
    "ah": {4: 51, 6: 51},
}
"""Protocol → family → its number (IANA protocol numbers)."""

WITH_PORTS = ("tcp", "udp", "sctp")


@dataclass(frozen=True)
class Ports:
    """A range of ports; both ends belong to it."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Service:
    """What a flow is beside its addresses."""

    protocol: int  # its number
    port: Optional[int] = None  # the destination's; None: not known


def asked(protocols: tuple[str, ...], ports: tuple[Ports, ...]) -> tuple[str, ...]:
    """Return the protocols that a rule's conditions are for (none: all of them): TCP and UDP when only ports are."""
    return protocols or (("tcp", "udp") if ports else ())


def meets(protocols: tuple[str, ...], ports: tuple[Ports, ...], service: Service, family: int) -> Optional[bool]:
    """Return whether a service meets a rule's conditions (none: every service does); None: its port has to be known."""
    wanted = asked(protocols, ports)
    if wanted and all(NUMBERS[name][family] != service.protocol for name in wanted):
        return False
    if not ports:
        return True
    if service.port is None:
        return None
    return any(part.first <= service.port <= part.last for part in ports)


def words(protocols: tuple[str, ...], ports: tuple[Ports, ...]) -> str:
    """Return the conditions in words: `tcp, udp ports 80, 8000-8100`."""
    named = ", ".join(protocols)
    if not ports:
        return named
    return (
        f"{named} port{'s' if len(ports) > 1 or ports[0].first != ports[0].last else ''} {', '.join(map(str, ports))}"
    )
