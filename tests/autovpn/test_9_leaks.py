# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What left the gateway by its uplink in all that time, and what its agent could not see."""

from __future__ import annotations

from labkit import wire
from labkit.hosts import host
from labkit.traffic import INSIDE, OWN_RESET, destinations

# The addresses of google.com and youtube.com, and of the network that is led to eu.
INTO_TUNNELS = (
    *(f"{prefix}{number}" for number in (10, 11, 30, 31) for prefix in ("198.51.100.", "2001:db8:ff::")),
    "198.51.100.161",
)
ALLOWED = ("198.51.100.42", "198.51.100.43", "2001:db8:ff::42", "2001:db8:ff::43")  # example.org's


def test_nothing_leaked() -> None:
    wire.stop()
    assert by_uplink(destinations(ALLOWED)), "else the capture would prove nothing"
    assert by_uplink("tcp dst port 443 and dst host 10.90.0.21"), "the WebSocket itself"
    assert by_uplink(destinations(INTO_TUNNELS)) == []
    assert [line for line in by_uplink(INSIDE) if not OWN_RESET.search(line)] == []
    asked = by_uplink("udp dst port 53 or tcp dst port 53")
    # But for the WebSockets' servers, which wstunnel asks the host's own resolver for.
    assert [line for line in asked if "autovpn.example" not in line] == [], "names are asked over TLS or in tunnels"


def test_the_agent_could_look_at_all_of_it() -> None:
    said = host("gw").check_output("journalctl --unit splitway --no-pager")
    assert [line for line in said.splitlines() if "looking at the host" in line or "Permission denied" in line] == []


def by_uplink(condition: str) -> list[str]:
    """Returns the captured packets that left by the uplink, one a line."""
    return [line for line in wire.left(condition) if " eth0 " in line]
