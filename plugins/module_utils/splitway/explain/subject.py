# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for what: the client, the destination, port and protocol, as they were typed."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from ..services import NUMBERS, WITH_PORTS
from ..state import LanNetwork, Marks, Peer, State
from ..topology.domains import canonical_domain
from ..topology.errors import TopologyError, shown
from .model import ExplainError

PROTOCOLS = tuple(NUMBERS)
MOST_NAMED = 5  # clients in a message


HOST = "host"
"""Asked for in a client's place: the gateway's own connections."""


@dataclass(frozen=True)
class Client:
    """A client: one that the state knows, or just an address; or the gateway itself."""

    name: str
    sources: dict[int, str]  # family → its address
    is_host: bool = False

    def policy(self, marks: Marks, family: int) -> Optional[int]:
        """Return the number of its policy."""
        if self.is_host:
            return marks.host.policy if marks.host else None
        source = self.sources[family]
        found = marks.family(family).clients.get(source)
        network = lan_network(marks, source) if found is None else None
        return network.policy if network else found


def lan_network(marks: Marks, source: str) -> Optional[LanNetwork]:
    """Return the network of LAN clients, or of those that nobody listed, that an address is in."""
    address = ipaddress.ip_address(source)
    return next(
        (entry for entry in (*marks.lan, *marks.unknown) if address in ipaddress.ip_network(entry.network)), None
    )


@dataclass(frozen=True)
class Destination:
    """A name in its canonical spelling, or an address."""

    text: str
    family: Optional[int] = None  # of an address


def find_client(state: State, asked: str) -> Client:
    """Return the client of that name or address. Raises ExplainError that names the nearest clients."""
    peers = state.server.peers if state.server else ()
    for peer in peers:
        if peer.name == asked:
            return Client(peer.name, _sources(peer))
    if asked == HOST and state.marks and state.marks.host and state.marks.host.policy is not None and state.server:
        own = {6 if ":" in network else 4: network.partition("/")[0] for network in state.server.addresses}
        return Client(HOST, own, is_host=True)
    try:
        address = ipaddress.ip_address(asked)
    except ValueError:
        raise ExplainError(f"{shown(asked)} is no client of this gateway{_nearest(asked, peers)}") from None
    source = str(address)
    for peer in peers:
        sources = _sources(peer)
        if source in sources.values() or any(address in ipaddress.ip_network(net) for net in peer.allowed_ips):
            return Client(peer.name, {**sources, address.version: source})
    return Client(source, {address.version: source})


def missing_client(state: State, asked: str) -> str:
    """Return why a gateway does not know who is meant, "" if it does.

    It knows its clients, and whoever else its policies are for: LAN clients, or itself. Raises ExplainError when the
    state has no policies at all.
    """
    marks = require_marks(state)
    try:
        who = find_client(state, asked)
    except ExplainError as error:
        return str(error)
    if any(who.policy(marks, family) is not None for family in who.sources):
        return ""
    return f"{shown(asked)} is no client's address on this gateway: the guard refuses what comes from there"


def _sources(peer: Peer) -> dict[int, str]:
    """Return the first address of each family."""
    found: dict[int, str] = {}
    for network in peer.allowed_ips:
        found.setdefault(6 if ":" in network else 4, network.partition("/")[0])
    return found


def _nearest(asked: str, peers: Iterable[Peer]) -> str:
    names = {peer.name.casefold(): peer.name for peer in peers}
    if not names:
        return ", which has none: add it to splitway_clients and run site.yml"
    near = difflib.get_close_matches(asked.casefold()[:64], names, n=MOST_NAMED, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(names[name] for name in near)}?"
    some = sorted(names.values())[:MOST_NAMED]
    more = f" and {len(names) - len(some)} more" if len(names) > len(some) else ""
    return f": it has {', '.join(some)}{more}"


def read_destination(asked: str) -> Destination:
    """Return the destination. Raises ExplainError."""
    try:
        address = ipaddress.ip_address(asked)
    except ValueError:
        pass
    else:
        if "%" in asked:
            raise ExplainError(f"{shown(asked)}: leave the interface out, it is the client's")
        # What a program sends to ::ffff:192.0.2.1 is IPv4.
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return Destination(str(mapped or address), 4 if mapped else address.version)
    try:
        return Destination(canonical_domain(asked))
    except TopologyError as error:
        raise ExplainError(f"{error}; ask for a name as in www.example.com, or for an address") from None


def check_service(port: Optional[int], protocol: Optional[str]) -> None:
    """Raise ExplainError unless port and protocol are some that there are."""
    if protocol is not None and protocol not in PROTOCOLS:
        raise ExplainError(f"{shown(protocol)} is no protocol: {', '.join(PROTOCOLS)}")
    if port is not None and not 1 <= port <= 65535:
        raise ExplainError(f"{shown(port)} is no port: 1 to 65535")
    if port is not None and protocol is not None and protocol not in WITH_PORTS:
        raise ExplainError(f"{protocol} has no ports: leave the port out")


def require_marks(state: State) -> Marks:
    """Return what classifies packets. Raises ExplainError when the state has none."""
    if state.marks is None:
        raise ExplainError("this host classifies no packets: it is no gateway yet, run site.yml")
    return state.marks
