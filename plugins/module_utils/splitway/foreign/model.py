# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of others in plain data: what they test, where they lead, and a packet to ask them about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Optional

ACCEPT, DROP, RETURN, CONTINUE, UNKNOWN = "accept", "drop", "return", "continue", "unknown"

NEW, ESTABLISHED = "new", "established"


@dataclass(frozen=True)
class Packet:
    """A packet as a rule sees it."""

    purpose: str  # for people: "DNS from clients"
    hook: str  # forward | input | output
    family: int
    protocol: str  # tcp | udp
    port: int  # the destination's
    state: str  # NEW | ESTABLISHED
    incoming: str = ""  # interface; empty: none
    outgoing: str = ""
    source: str = ""  # empty: any
    destination: str = ""
    source_port: int = 0  # 0: any
    mark: int = 0


Test = Callable[[Packet], Optional[bool]]
"""Whether a packet meets a condition; None: it depends on more than is known here."""


@dataclass(frozen=True)
class Rule:
    """One rule. What it leads to is a word of the above, or with `jumps` a chain's name."""

    tests: tuple[Test, ...]
    leads: str
    text: str
    jumps: bool = False
    returns: bool = True  # a chain that is jumped to comes back; one that is gone to does not


@dataclass(frozen=True)
class Table:
    """The chains of one table, by name."""

    name: str  # for people: "iptables filter", "nft inet firewalld"
    chains: Mapping[str, tuple[Rule, ...]]


@dataclass(frozen=True)
class Base:
    """A chain that the kernel calls."""

    table: Table
    chain: str
    hook: str
    policy: str  # ACCEPT | DROP
    families: tuple[int, ...]


def within(address: str, network: str) -> Optional[bool]:
    """Return whether an address lies in a network, or is one; None where it is not known or the text is neither."""
    if not address:
        return None
    try:
        found = ip_network(network, strict=False)
        return ip_address(address) in found
    except ValueError:
        return None


def like(interface: str, pattern: str, wildcard: str) -> bool:
    """Return whether an interface has a name, or begins with what stands before the wildcard."""
    if pattern.endswith(wildcard):
        return bool(interface) and interface.startswith(pattern[: -len(wildcard)])
    return interface == pattern


def negated(test: Test) -> Test:
    def opposite(packet: Packet) -> Optional[bool]:
        met = test(packet)
        return None if met is None else not met

    return opposite


def unknown(_: Packet) -> Optional[bool]:
    """A condition that depends on more than is known here."""
    return None


def never(_: Packet) -> Optional[bool]:
    """A condition that none of the packets meets that we ask about."""
    return False
