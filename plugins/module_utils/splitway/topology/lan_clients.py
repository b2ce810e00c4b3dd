# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_lan_clients`: clients without WireGuard, known by the interface and the network that they come from."""

from __future__ import annotations

from typing import Any, Optional

from .clients import POLICY_KEYS, read_policy
from .errors import Report, TopologyError, shown
from .model import LanClients, Network, Server
from .networks import network
from .reading import Claims, Fields, good, mappings
from .scalars import boolean, name, server_interface
from .words import Words

KEYS = ("name", "interface", "networks", "enabled", *POLICY_KEYS)


class LanReader:
    """Reads the LAN clients of one topology and knows what they must not have in common."""

    def __init__(self, report: Report, server: Optional[Server], known: Words, default_policy: Optional[str]) -> None:
        self.report = report
        self.server = server
        self.known = known
        self.default_policy = default_policy
        self.names = Claims(report, "is already the name of")
        self.taken: list[tuple[str, Optional[str], Network]] = []  # path, interface, network

    def read(self, fields: Fields) -> Optional[LanClients]:
        """Return LAN clients; None if they are wrong or disabled. Disabled ones keep their name only."""
        found = fields.require("name", name)
        if found is not None:
            self.names.claim(f"{fields.path}.name", found.lower(), fields.path, f'"{found}"')
        enabled = fields.get_or("enabled", boolean, default=True)
        interface = fields.require("interface", server_interface)
        if self.server is not None and interface == self.server.interface:
            self.report.add(
                f"{fields.path}.interface",
                f'"{interface}" is that of splitway_server: what comes in there is in splitway_clients',
            )
        networks = fields.require_entries("networks", _lan_network)
        for index, entry in enumerate(networks):
            if entry is not None and enabled:
                self._check_network(f"{fields.path}.networks[{index}]", interface, entry)
        policy = read_policy(fields, self.known, self.default_policy)
        if found is None or interface is None or not enabled:
            return None
        return LanClients(found, interface, good(networks), policy)

    def _check_network(self, path: str, interface: Optional[str], entry: Network) -> None:
        """Report a network that others have. One inside another is fine on the same interface: the smaller decides."""
        for own in self.server.addresses if self.server else ():
            if own.version == entry.version and own.network.overlaps(entry):
                self.report.add(path, f'"{entry}" overlaps {own.network} of splitway_server.addresses')
        for other_path, other_interface, other in self.taken:
            if other.version != entry.version or not other.overlaps(entry):
                continue
            if other == entry:
                self.report.add(path, f'"{entry}" is {other_path} already')
            elif other_interface != interface:
                self.report.add(path, f'"{entry}" overlaps {other_path} ("{other}"), which is on another interface')
        self.taken.append((path, interface, entry))


def _lan_network(value: Any) -> Network:
    found = network(value)
    if found.is_link_local or found.is_multicast or found.is_loopback:
        raise TopologyError(f"{shown(value)} is no network of clients: its packets cannot be forwarded")
    return found


def read_lan_clients(
    report: Report, entries: Any, server: Optional[Server], known: Words, default_policy: Optional[str]
) -> tuple[LanClients, ...]:
    """Return the enabled LAN clients."""
    reader = LanReader(report, server, known, default_policy)
    found = [
        reader.read(Fields(report, path, entry, KEYS))
        for path, entry in mappings(report, "splitway_lan_clients", entries)
    ]
    return tuple(entry for entry in found if entry is not None)
