# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the agent asks for a name, and how it reaches addresses: as our dnsmasq does, and as the egress goes now.

Resolvers are asked directly, several of them, and not by way of our dnsmasq: that asks one at a time, keeps answers,
and has those of pinned names from us. A name that dnsmasq asks through a tunnel is asked through that tunnel only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Optional

from ...reconcile.base import ReconcileError
from ...reconcile.dns import upward
from ...reconcile.dns.text import FORWARDER, FORWARDER_PORT
from ...state import DIRECT, REST, Dns, Egress, State, exempt_mark
from ...system import System
from .resolver import Item
from .servers import Server, server


@dataclass(frozen=True)
class Way:
    """How packets are sent by an egress."""

    interface: str = ""  # "": directly
    mark: int = 0  # of the packets; 0: none


class Whom:
    """Whom names are asked at by one state: by the longest of its forwards that matches, as dnsmasq does it."""

    def __init__(self, dns: Dns, usual: tuple[Server, ...]) -> None:
        self.usual = usual
        self._own: dict[str, tuple[Server, ...]] = dict.fromkeys(dns.absent, ())
        for forward in dns.forwards:
            rest = REST in forward.servers
            servers = usual if rest else tuple(map(server, forward.servers))
            self._own.update(dict.fromkeys(forward.domains, servers))

    @property
    def all(self) -> frozenset[Server]:
        """All resolvers that may be asked."""
        return frozenset((*self.usual, *(entry for servers in self._own.values() for entry in servers)))

    def servers(self, name: str) -> tuple[Server, ...]:
        """Return the resolvers of a name (lower case, no dot at the end); none: it is asked nowhere."""
        while name:
            if name in self._own:
                return self._own[name]
            name = name.partition(".")[2]
        return self.usual

    def items(self, names: Iterable[str], families: Iterable[int] = (4, 6)) -> Iterator[Item]:
        """Yield what is to be asked for names; nothing for those that nobody is asked for, or that have no dot."""
        families = tuple(families)
        for name in names:
            servers = self.servers(name) if "." in name else ()
            for family in families if servers else ():
                yield Item(name, family, servers)


def usual(system: System, state: State) -> tuple[Server, ...]:
    """Return the resolvers of names without their own: the agent's, else those that our dnsmasq asks."""
    dns, agent = state.dns, state.agent
    if dns is None:
        return ()
    if agent is not None and agent.resolving.servers:
        found = agent.resolving.servers
    elif dns.tls:
        found = (f"{FORWARDER}#{FORWARDER_PORT}",)
    else:
        found = dns.servers or _of_host(system, dns)
    own = {address.partition("/")[0] for address in state.server.addresses} if state.server else set()
    return tuple(entry for entry in map(server, found) if entry.address not in own)


def _of_host(system: System, dns: Dns) -> tuple[str, ...]:
    try:
        file = upward.resolver_file(dns, upward.read(system, ()))
    except ReconcileError:  # whoever brings dnsmasq says so
        return ()
    text = system.read_file(system.root / (upward.OWN if file is None else upward.SYSTEMD)) or ""
    return tuple(entry for entry in upward.servers_in(text) if "%" not in entry)


def own_mark(state: State) -> int:
    """Return the mark of what the agent sends by itself, so that a policy of the gateway's own leaves it alone."""
    marks = state.marks
    return exempt_mark(marks.mask) if marks is not None and marks.host is not None else 0


def way(state: State, number: int) -> Optional[Way]:
    """Return how packets are sent by an egress now; None: there is no way."""
    if number == DIRECT:
        return Way(mark=own_mark(state))
    egresses = {egress.number: egress for egress in (state.marks.egresses if state.marks else ())}
    egress = egresses.get(number)
    if egress is not None and egress.interface is None and not egress.direct and egress.ways:
        egress = egresses.get(egress.ways[0].number)
    return _way(state, egress)


def _way(state: State, egress: Optional[Egress]) -> Optional[Way]:
    if egress is None:
        return None
    if egress.direct or egress.number == DIRECT:
        return Way(mark=own_mark(state))
    return Way(egress.interface) if egress.interface else None
