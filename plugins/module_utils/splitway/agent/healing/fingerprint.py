# SPDX-License-Identifier: GPL-3.0-or-later
"""A cheap look at the host: what it shows is compared with what it showed when all was well.

For what no netlink event tells of: ipsets, peers, files, processes. It costs two short processes, whatever the
size of the sets; a difference says only that the reconcilers should look closely.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional

from ...reconcile.agent.text import AGENT, GUARD
from ...reconcile.dns.text import UNIT, paths
from ...reconcile.marks.iptables import LOOKUPS
from ...reconcile.routes.sysctl import ACCOUNTING, FORWARDING
from ...reconcile.services import FOLDER, WIREGUARD
from ...reconcile.sets.model import IPSET
from ...state import State
from ...system import System
from .peers import Readings

Fingerprints = Mapping[str, object]
"""Section → something that is equal as long as the section looks as it did."""

_LOOKUPS = tuple(LOOKUPS.values())  # of clients: sets of the section `marks`
_SET = re.compile(r"^Name: (sw\S+)\n(?:.*\n)*?Number of entries: (\d+)$", re.MULTILINE)


def take(system: System, state: State, readings: Readings, entries: Mapping[str, int]) -> Fingerprints:
    """Return how the sections look now; `entries` as `sizes` gave them. Raises SystemFailure."""
    server = state.server.interface if state.server else ""
    return {
        "upstreams": _devices(readings, (device.interface for device in state.upstreams)),
        "server": _devices(readings, (server,)),
        "routes": tuple(system.sysctl(key) for key in (*FORWARDING, *ACCOUNTING)),
        "sets": _sets(state, entries),
        "marks": tuple(entries.get(name) for name in _LOOKUPS),
        "dns": _dns(system),
        "agent": tuple(map(_file, (FOLDER / AGENT, FOLDER / GUARD))),
    }


def sizes(system: System, backend: str) -> dict[str, int]:
    """Return the number of entries of each of our ipsets; nothing with the other backend, which tells of changes."""
    if backend != IPSET or not system.has("ipset"):
        return {}
    return {name: int(count) for name, count in _SET.findall(system.read("ipset", "list", "-terse"))}


def emptied(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Return whether a set lost more than half of what it held: learned addresses come and go, but not like that."""
    return any(now.get(name, 0) * 2 < count for name, count in before.items())


def _devices(readings: Readings, interfaces: Iterable[str]) -> object:
    names = frozenset(interfaces)
    return (
        {name: fields for name, fields in readings.devices.items() if name in names},
        {key: peer.configured for key, peer in readings.peers.items() if key[0] in names},
    )


def _sets(state: State, entries: Mapping[str, int]) -> object:
    static = {item.name for item in state.sets if item.timeout is None}
    return {name: count if name in static else None for name, count in entries.items() if name not in _LOOKUPS}


def _dns(system: System) -> object:
    where = paths(system)
    files = (where.options, where.names, where.started_options, where.started_names, FOLDER / UNIT, FOLDER / WIREGUARD)
    process = (system.read_file(where.pid) or "").strip()
    return (*map(_file, files), process, bool(process) and os.path.exists(f"/proc/{process}"))


def _file(path: Path) -> Optional[tuple[int, int, int]]:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
