# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard's peers as they are now: configuration, endpoint, handshake and bytes, by one `wg show all dump`.

Endpoints of clients are nobody's to configure: WireGuard learns them. They are remembered here, in memory and on
disk, so that an interface that was made anew knows where its clients are, and need not wait until each of them
notices.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Optional

from ...reconcile import wireguard
from ...system import System, SystemFailure

_NOTHING = "(none)"  # the endpoint or the networks of a peer that has none
_QUIET = "off"  # the keepalive of a peer that says nothing by itself
_FIELDS = 9  # of a peer's line


@dataclass(frozen=True)
class PeerReading:
    """One peer at one moment."""

    networks: tuple[str, ...]  # those allowed
    endpoint: Optional[str]
    handshake: Optional[int]  # seconds since the epoch; None: never
    received: int  # bytes
    sent: int  # bytes


Configured = Mapping[str, tuple[str, str, str]]
"""Public key → preshared key, allowed networks, keepalive of an interface's peers, as `wg` spells them."""


class Counted(NamedTuple):
    """What WireGuard has found out about its peers, as `wg` spells it, a list a field. Their order may be another."""

    keys: list[str]
    endpoints: list[str]
    handshakes: list[str]
    received: list[str]
    sent: list[str]
    mark: int = 0  # of the lines of `wg` that all of it was in


@dataclass(frozen=True)
class Readings:
    """All devices and peers of the host.

    Text, since all of it is read every few seconds: for 5,000 peers that takes 6 ms, with objects 13 (measured).
    """

    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # interface → private key, port, mark
    configured: Mapping[str, Configured] = field(default_factory=dict)  # by interface
    counted: Mapping[str, Counted] = field(default_factory=dict)

    def of(self, interface: str) -> Iterator[PeerReading]:
        """Yield the peers of an interface."""
        configured = self.configured.get(interface, {})
        for key, endpoint, handshake, received, sent in zip(*self.counted.get(interface, ())[:5]):
            allowed = configured[key][1]
            yield PeerReading(
                networks=() if allowed == _NOTHING else tuple(allowed.split(",")),
                endpoint=None if endpoint == _NOTHING else endpoint,
                handshake=int(handshake) or None,
                received=int(received),
                sent=int(sent),
            )

    def first(self, interface: str) -> Optional[PeerReading]:
        """Return one peer of an interface: of an upstream's there is one. None where there is none."""
        return next(self.of(interface), None)


def read(system: System, before: Optional[Readings] = None) -> Readings:
    """Return the devices and peers of the host. What is as it was `before` is the same object. Raises SystemFailure."""
    known = before or Readings()
    lines = system.read("wg", "show", "all", "dump").splitlines()
    devices: dict[str, tuple[str, ...]] = {}
    configured: dict[str, Configured] = {}
    counted: dict[str, Counted] = {}
    start = 0
    while start < len(lines):
        interface, *device = lines[start].split("\t")
        end = _end(lines, start, f"{interface}\t")
        peers = lines[start + 1 : end]
        # The same lines in whatever order, wireguard-go's is random: while no peer moves data, nothing more is done.
        mark = hash((len(peers), sum(map(hash, peers))))
        if interface in known.counted and known.counted[interface].mark == mark:
            configured[interface], counted[interface] = known.configured[interface], known.counted[interface]
        else:
            now, counted[interface] = _columns(interface, peers, mark)
            configured[interface] = known.configured[interface] if known.configured.get(interface) == now else now
        devices[interface] = tuple(device)
        start = end
    return Readings(devices, configured, counted)


def _columns(interface: str, lines: list[str], mark: int) -> tuple[Configured, Counted]:
    fields = "\t".join(lines).split("\t") if lines else []
    if len(fields) != _FIELDS * len(lines):
        raise SystemFailure(f"wg show all dump: a peer of {interface} has not {_FIELDS} fields")
    _, keys, preshared, endpoints, allowed, handshakes, received, sent, keepalives = (
        fields[column::_FIELDS] for column in range(_FIELDS)
    )
    configured = dict(zip(keys, zip(preshared, allowed, keepalives)))
    return configured, Counted(keys, endpoints, handshakes, received, sent, mark)


def _end(lines: list[str], start: int, prefix: str) -> int:
    """Return where the lines of an interface end: they are together, so that not each is looked at."""
    step = 1
    while start + step < len(lines) and lines[start + step].startswith(prefix):
        step *= 2
    low, high = start + step // 2, min(start + step, len(lines))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if lines[middle].startswith(prefix) else (low, middle)
    return high


class Endpoints:
    """Where each peer was seen last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, str]] = {}  # interface → key → endpoint
        self._changed = False  # since it was saved

    def load(self, system: System) -> None:
        """Take up what was saved; nothing when there is none, or when it is damaged."""
        self._known = {}
        try:
            for interface, key, endpoint in json.loads(system.read_file(self._path) or "[]"):
                self._known.setdefault(interface, {})[key] = endpoint
        except ValueError:
            self._known = {}

    def remember(self, readings: Readings) -> None:
        """Keep the endpoints of those peers that have one."""
        for interface, peers in readings.counted.items():
            now = {key: endpoint for key, endpoint in zip(peers.keys, peers.endpoints) if endpoint != _NOTHING}
            known = self._known.setdefault(interface, {})
            if not now.items() <= known.items():
                known.update(now)
                self._changed = True

    def forget(self, readings: Readings) -> None:
        """Forget who is no peer any more; to be asked of readings of devices that are as they should be."""
        for interface, known in list(self._known.items()):
            gone = known.keys() - readings.configured.get(interface, {}).keys()
            for key in gone:
                del known[key]
            self._changed = self._changed or bool(gone)

    def save(self, system: System) -> None:
        """Write what is known to disk, if it is not there yet."""
        if self._changed:
            entries = [(interface, *entry) for interface, known in self._known.items() for entry in known.items()]
            system.write_file(self._path, json.dumps(entries))
            self._changed = False

    def restore(self, system: System, readings: Readings, ours: Collection[str]) -> int:
        """Give peers without an endpoint the one that they had; return how many. Raises SystemFailure.

        `ours`: the interfaces whose peers are ours to tell something.
        """
        found = 0
        for interface, known in self._known.items():
            peers = readings.counted.get(interface) if interface in ours else None
            if not known or peers is None or _NOTHING not in peers.endpoints:
                continue
            missing = [
                key for key, endpoint in zip(peers.keys, peers.endpoints) if endpoint == _NOTHING and key in known
            ]
            wireguard.set_endpoints(system, interface, [(key, known[key]) for key in missing])
            quiet = [key for key in missing if readings.configured[interface][key][2] == _QUIET]
            wireguard.call(system, interface, quiet)
            found += len(missing)
        return found
