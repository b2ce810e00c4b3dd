# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard's peers as they are now: configuration, endpoint, handshake and bytes, by one `wg show all dump`.

Endpoints of clients are nobody's to configure: WireGuard learns them. They are remembered here, in memory and on
disk, so that an interface that was made anew knows where its clients are, and need not wait until each of them
notices.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...reconcile import wireguard
from ...system import System

Key = tuple[str, str]
"""Interface and public key."""


@dataclass(frozen=True)
class PeerReading:
    """One peer at one moment."""

    configured: tuple[str, ...]  # preshared key, allowed networks, keepalive, as `wg` spells them
    endpoint: Optional[str]
    handshake: Optional[int]  # seconds since the epoch; None: never
    received: int  # bytes
    sent: int  # bytes

    @property
    def quiet(self) -> bool:
        """Return whether it says nothing by itself: it has no keepalive."""
        return self.configured[-1] == "off"


@dataclass(frozen=True)
class Readings:
    """All devices and peers of the host."""

    devices: Mapping[str, tuple[str, ...]]  # interface → private key, port, mark
    peers: Mapping[Key, PeerReading]


def read(system: System) -> Readings:
    """Return the devices and peers of the host. Raises SystemFailure."""
    devices: dict[str, tuple[str, ...]] = {}
    peers: dict[Key, PeerReading] = {}
    for interface, (device, *lines) in wireguard.sections_of(system.read("wg", "show", "all", "dump")).items():
        devices[interface] = tuple(device)
        for key, preshared, endpoint, allowed, handshake, received, sent, keepalive in lines:
            peers[interface, key] = PeerReading(
                (preshared, allowed, keepalive),
                None if endpoint == "(none)" else endpoint,
                int(handshake) or None,
                int(received),
                int(sent),
            )
    return Readings(devices, peers)


class Endpoints:
    """Where each peer was seen last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[Key, str] = {}
        self._saved: dict[Key, str] = {}

    def load(self, system: System) -> None:
        """Take up what was saved; nothing when there is none, or when it is damaged."""
        try:
            entries = json.loads(system.read_file(self._path) or "[]")
            self._known = {(interface, key): endpoint for interface, key, endpoint in entries}
        except ValueError:
            self._known = {}
        self._saved = dict(self._known)

    def remember(self, readings: Readings) -> None:
        """Keep the endpoints of those peers that have one."""
        self._known.update({key: peer.endpoint for key, peer in readings.peers.items() if peer.endpoint})

    def forget(self, readings: Readings) -> None:
        """Forget who is no peer any more; to be asked of readings of devices that are as they should be."""
        self._known = {key: endpoint for key, endpoint in self._known.items() if key in readings.peers}

    def save(self, system: System) -> None:
        """Write what is known to disk, if it is not there yet."""
        if self._known != self._saved:
            system.write_file(self._path, json.dumps([[*key, endpoint] for key, endpoint in self._known.items()]))
            self._saved = dict(self._known)

    def restore(self, system: System, readings: Readings) -> int:
        """Give peers without an endpoint the one that they had; return how many. Raises SystemFailure."""
        missing = [key for key, peer in readings.peers.items() if peer.endpoint is None and key in self._known]
        for interface in sorted({interface for interface, _ in missing}):
            these = [key for key in missing if key[0] == interface]
            wireguard.set_endpoints(system, interface, [(key[1], self._known[key]) for key in these])
            wireguard.call(system, interface, [key[1] for key in these if readings.peers[key].quiet])
        return len(missing)
