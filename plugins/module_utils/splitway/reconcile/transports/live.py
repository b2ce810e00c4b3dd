# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host has of the section: units, files, what processes were started with, who listens, which versions."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from ...kept import Kept
from ...ports import Wanted
from ...relay.versions import RelayError, Version, version
from ...state import Transports
from ...system import System, SystemFailure
from .. import accounts, certificates, listening
from ..base import ReconcileError
from .model import NGINX, PREFIX, USER, CopyState, Current, Found, folder, places
from .processes import LOOPBACK, operators_files, program_paths

SUFFIX = ".service"


def read(system: System, desired: Optional[Transports]) -> Current:
    """Return what there is. Raises ReconcileError, SystemFailure."""
    found = {name: _found(system, name) for name in _names(system)}
    where = functools.partial(places, system)
    declared = accounts.declared(system, USER)
    if desired is None:
        return Current(where, found, accounts.number(system, USER), declared, remembered=Kept(system).ports.read())
    ports = {port for item in wanted(desired) for port in range(item.range.low, item.range.high + 1)}
    return Current(
        where=where,
        processes=found,
        user=accounts.number(system, USER),
        declared=declared,
        listeners=listening.read(system, ports),
        copies={path: state for path in operators_files(desired) if (state := _state(Path(path))) is not None},
        problems=_problems(system, desired),
        versions={name: installed(system, path) for name, path in program_paths(desired).items() if name != NGINX},
        remembered=Kept(system).ports.read(),
        ipv6=system.sysctl("net/ipv6/conf/all/disable_ipv6") is not None,
    )


def _names(system: System) -> tuple[str, ...]:
    """Return the names of the processes of which there is anything."""
    units = (unit[len(PREFIX) : -len(SUFFIX)] for unit in system.units.named(PREFIX) if unit.endswith(SUFFIX))
    return tuple(sorted({*units, *system.list_files(folder(system))}))


def _found(system: System, name: str) -> Found:
    where, unit = places(system, name), f"{PREFIX}{name}{SUFFIX}"
    running = system.units.active(unit)
    texts = {file: system.read_file(where.folder / file) or "" for file in system.list_files(where.folder)}
    started = system.read_file(where.started) if running else None
    return Found(system.units.read(unit), running, system.units.enabled(unit), texts, started)


def wanted(desired: Transports) -> tuple[Wanted, ...]:
    """Return the ports that the section's processes are to have."""
    return (
        *(Wanted(server.port, "tcp", server.listen) for server in desired.servers),
        *(
            Wanted(forwarding.port, forwarding.protocol, (LOOPBACK,))
            for client in desired.clients
            for forwarding in client.forwardings
        ),
    )


def _state(path: Path) -> Optional[CopyState]:
    try:
        status = path.stat()
    except OSError:  # not there, or hidden from us
        return None
    return status.st_size, status.st_mtime_ns


def pairs(desired: Transports) -> Iterator[tuple[str, str]]:
    """Yield each file of certificates, with its key if there is one."""
    for server in desired.servers:
        yield server.certificate, server.key
        yield server.client_ca, ""
    for client in desired.clients:
        yield client.certificate, client.key
        yield client.ca, ""


def _problems(system: System, desired: Transports) -> dict[str, str]:
    """Return what is wrong with certificates and keys, by their files. What cannot be read here is not judged."""
    found = {}
    for path, key in pairs(desired):
        if not path:
            continue
        try:
            certificate = certificates.read(system, path)
            if key:
                certificates.check(system, certificate, key, system.now())
        except ReconcileError as error:
            found[path] = str(error)
        except (PermissionError, SystemFailure):
            continue
    return found


def installed(system: System, path: str) -> Optional[Version]:
    """Return a program's version, None when there is no such program. Raises ReconcileError."""
    if not system.has(path):
        return None
    try:
        return version(system.read(path, "--version"))
    except (RelayError, SystemFailure) as error:
        raise ReconcileError(f"{path}: {error}") from error


def glimpse(system: System, desired: Optional[Transports]) -> object:
    """Return what is equal as long as units, files, copies and who listens are: a look that costs little.

    A process that ended does not listen any more; one that was started again has other sockets.
    """
    names = _names(system)
    if desired is None and not names:
        return ()
    ports = {item.range.port for item in wanted(desired)} if desired is not None else set()
    paths = [system.units.file(f"{PREFIX}{name}{SUFFIX}") for name in names]
    for name in names:
        where = places(system, name)
        paths += [where.folder / file for file in system.list_files(where.folder)] + [where.started]
    paths += [Path(path) for path in sorted(operators_files(desired))] if desired is not None else []
    unix = system.read_file(Path("/proc/thread-self/net/unix")) or ""
    return (
        names,
        tuple(map(system.stamp, paths)),
        listening.bound(system, ports) if ports else (),
        tuple(sorted(line.split()[6] for line in unix.splitlines() if PREFIX[len("splitway") :] in line)),
    )
