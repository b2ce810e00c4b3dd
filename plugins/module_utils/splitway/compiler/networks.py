# SPDX-License-Identifier: GPL-3.0-or-later
"""Static networks of lists: collapsed, by family, those inside the special ranges apart."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from ..state import FAMILIES, STATIC_SIZE, AddressSet
from ..topology.model import Network, Topology
from .numbers import CompileError

# In all lists together. Another retention has nft list the rules, which takes it 14 s at 400,000 and at a million more
# than the minute that it has (measured).
MOST_IN_NFTABLES = 400_000

# Ranges that rules reach only by a network inside them (semantics: "Which rule decides", 1).
SPECIAL: dict[int, tuple[Network, ...]] = {
    4: tuple(
        map(
            ipaddress.IPv4Network,
            ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4"),
        )
    ),
    6: tuple(map(ipaddress.IPv6Network, ("::1/128", "fc00::/7", "fe80::/10", "ff00::/8"))),
}

# Cloud metadata services: what a client could read there are the gateway's own credentials.
METADATA: dict[int, tuple[str, ...]] = {4: ("169.254.0.0/16",), 6: ("fd00:ec2::254/128", "fd20:ce::254/128")}


@dataclass(frozen=True)
class SplitNetworks:
    """The networks of one list in one family."""

    public: tuple[str, ...]
    special: tuple[str, ...]  # inside a special range


def special_ranges(topology: Topology) -> dict[int, tuple[Network, ...]]:
    """Return the special ranges and the clients' own networks, by family, collapsed."""
    ranges: dict[int, tuple[Network, ...]] = {}
    clients = [address.network for address in topology.server.addresses]
    clients += [network for entry in topology.lan_clients for network in entry.networks]
    for family in FAMILIES:
        own = (network for network in clients if network.version == family)
        ranges[family] = collapse([*SPECIAL[family], *own])
    return ranges


def collapse(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Return the fewest networks of one family that hold the same addresses, in order."""
    return tuple(ipaddress.collapse_addresses(networks))  # type: ignore[type-var]


def split_networks(networks: Iterable[Network], special: dict[int, tuple[Network, ...]]) -> dict[int, SplitNetworks]:
    """Return the networks by family, collapsed, those inside a special range apart."""
    found: dict[tuple[int, bool], list[Network]] = {}
    for network in networks:
        inside = any(network.subnet_of(parent) for parent in special[network.version])  # type: ignore[arg-type]
        found.setdefault((network.version, inside), []).append(network)
    return {
        family: SplitNetworks(
            tuple(map(str, collapse(found.get((family, False), [])))),
            tuple(map(str, collapse(found.get((family, True), [])))),
        )
        for family in FAMILIES
    }


def check_sizes(sets: Iterable[AddressSet], backend: str) -> None:
    """Raise CompileError when a list, or all of them, have more networks than the backend takes."""
    static = [item for item in sets if item.timeout is None]
    for item in static:
        if len(item.members) > STATIC_SIZE:
            raise CompileError(
                f"splitway_lists: {item.comment} has {len(item.members)} IPv{item.family} networks, a set takes "
                f"{STATIC_SIZE}: divide it"
            )
    total = sum(len(item.members) for item in static)
    if backend == "nftables" and total > MOST_IN_NFTABLES:
        raise CompileError(
            f"splitway_backend: the lists in use have {total} networks, nftables takes {MOST_IN_NFTABLES}: "
            "use ipset, or fewer"
        )
