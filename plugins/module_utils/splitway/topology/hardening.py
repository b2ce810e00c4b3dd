# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_hardening`: what clients may reach beside the way out, and what the gateway forwards for others."""

from __future__ import annotations

import re
from typing import Any, Optional

from .errors import Report, TopologyError, shown
from .model import Hardening, OpenPort
from .reading import Fields, good
from .scalars import boolean, choice, port

KEYS = ("client_isolation", "gateway_ports", "reach_clients", "forward_others", "foreign_drop")
PROTOCOLS = ("tcp", "udp")
ALL = "all"
FORWARD_OTHERS = ("auto", "allow", "refuse")
FOREIGN_DROP = ("fail", "warn", "ignore")

_PORT = re.compile(r"(?:(tcp|udp)/)?([0-9]{1,5})(?:-([0-9]{1,5}))?")


def read_hardening(report: Report, value: Any) -> Hardening:
    """Return the hardening's switches."""
    fields = Fields(report, "splitway_hardening", value, KEYS)
    return Hardening(
        client_isolation=fields.get_or("client_isolation", boolean, default=Hardening.client_isolation),
        gateway_ports=_gateway_ports(fields),
        reach_clients=fields.get_or("reach_clients", boolean, default=Hardening.reach_clients),
        forward_others=fields.get_or(
            "forward_others", choice("what is done with others' packets", FORWARD_OTHERS), Hardening.forward_others
        ),
        foreign_drop=fields.get_or(
            "foreign_drop", choice("what a foreign DROP leads to", FOREIGN_DROP), Hardening.foreign_drop
        ),
    )


def _gateway_ports(fields: Fields) -> Optional[tuple[OpenPort, ...]]:
    """Return the open ports; None: all of them."""
    if fields.values.get("gateway_ports") == ALL:
        return None
    return tuple(opened for entry in good(fields.entries("gateway_ports", _opened)) for opened in entry)


def _opened(value: Any) -> tuple[OpenPort, ...]:
    """Return what one entry opens; without a protocol it is both."""
    written = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    found = _PORT.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        raise TopologyError(f'{shown(value)} is not a port of the gateway (like 22, "tcp/22" or "udp/6000-6010")')
    low = port(found[2])
    high = port(found[3]) if found[3] else low
    if high < low:
        raise TopologyError(f"{shown(value)} is not a range of ports: {high} is less than {low}")
    return tuple(OpenPort(protocol, low, high) for protocol in PROTOCOLS if found[1] in (None, protocol))
