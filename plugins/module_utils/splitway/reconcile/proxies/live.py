# SPDX-License-Identifier: GPL-3.0-or-later
"""Our proxies on this host: units, files, users, and who else has ports that we may want."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Optional

from ...ports import Wanted
from ...state import PROXY_USERS, Proxies
from ...system import System
from .. import accounts, listening
from .daemons import Paths, paths
from .model import Current, Unit
from .squid import OWN, PRIVATE


def read(system: System, desired: Optional[Proxies]) -> Current:
    """Return our units, files and users, and who else has ports that we may want. Raises SystemFailure."""
    where = paths(system)
    units = {name: _read_unit(system, where, name) for name in system.units.named(PROXY_USERS)}
    folders = [where.configuration / name for name in system.list_files(where.configuration)]
    files = {path: system.read_file(path) or "" for folder in folders for path in _files(system, folder)}
    known = accounts.beginning(system, PROXY_USERS)
    ports = {port for item in wanted(desired) for port in range(item.range.low, item.range.high + 1)}
    others = listening.read(system, ports) if ports else ()
    strangers = tuple(listener for listener in others if listener.user not in known.values())
    public_only = desired is not None and any(proxy.public_only for proxy in desired.proxies)
    return Current(where, units, files, frozenset(known), strangers, _public(system) if public_only else ())


def _public(system: System) -> tuple[str, ...]:
    """Return the host's public addresses. Not those for privacy, which change by the day and which nobody knows."""
    links = json.loads(system.read("ip", "-j", "address", "show")) if system.has("ip") else []
    entries = [entry for link in links for entry in link.get("addr_info", ())]
    found = [ip_address(entry["local"]) for entry in entries if not entry.get("temporary")]
    known = [ip_network(network) for network in (*OWN, *PRIVATE)]
    return tuple(sorted(str(address) for address in found if not any(address in network for network in known)))


def glimpse(system: System, desired: Optional[Proxies]) -> object:
    """Return what is equal as long as units, files, copies and who listens are: a look that costs little."""
    where, units = paths(system), system.units.named(PROXY_USERS)
    if desired is None and not units:
        return ()
    folders = [where.configuration, *(where.running(name) for name in units)]
    found = [path for folder in folders for path in _files(system, folder)]
    ports = {item.range.port for item in wanted(desired)}
    return (
        tuple((name, system.units.read(name)) for name in units),
        tuple((str(path), system.stamp(path)) for path in found),
        listening.bound(system, ports) if ports else (),
    )


def _files(system: System, folder: Path) -> list[Path]:
    inside = [folder / name for name in system.list_files(folder)]
    return [path for entry in inside for path in (_files(system, entry) if entry.is_dir() else [entry])]


def _read_unit(system: System, where: Paths, name: str) -> Unit:
    running = system.units.active(name)
    folder = where.running(name)
    copies = _files(system, folder) if running else []
    started = {str(path.relative_to(folder)): system.read_file(path) or "" for path in copies}
    return Unit(system.units.read(name) or "", running, system.units.enabled(name), started)


def wanted(desired: Optional[Proxies]) -> tuple[Wanted, ...]:
    """Return the ports of all proxies."""
    found = []
    for proxy in desired.proxies if desired is not None else ():
        found += [Wanted(listener.port, "tcp", listener.addresses) for listener in proxy.listeners]
        if proxy.inner is not None:
            found.append(Wanted(proxy.inner, "tcp", ("127.0.0.1",)))
    return tuple(found)
