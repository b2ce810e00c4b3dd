# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconciler of names: our own dnsmasq, its configuration, and that it runs with it.

New lines need a restart: SIGHUP does not read ``ipset=``, ``nftset=`` and ``server=`` lines. A restart
empties the cache, so that it happens only when something changed.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from ...state import Dns
from ...system import System, SystemFailure
from ..base import ADD, CHANGE, REMOVE, Change, ReconcileError
from . import forwarder, upward
from .port import Listener, answers, describe, listeners
from .text import UNIT, Paths, binds, names_text, options_text, paths, single_names, unit_text
from .upward import HostResolvers

PATIENCE = 5.0  # seconds that a started dnsmasq has until it answers
SHOWN = 100  # lines of a difference that a Change shows


@dataclass(frozen=True)
class Current:
    """Our dnsmasq as it is on the host."""

    where: Paths
    options: Optional[str] = None
    names: Optional[str] = None
    unit: Optional[str] = None
    running: bool = False
    # What the running process was started with.
    started_options: Optional[str] = None
    started_names: Optional[str] = None
    version: Optional[tuple[int, int]] = None  # of the program; None: not installed
    taken: tuple[Listener, ...] = ()  # sockets of others where ours is to listen
    forwarder: Optional[forwarder.Current] = None
    resolvers: HostResolvers = field(
        default_factory=HostResolvers
    )  # read where the host's own questions are to come here


@dataclass(frozen=True)
class Write:
    """Part of a Change: a file or the unit (path None) gets this text."""

    path: Optional[Path]
    text: str


@dataclass(frozen=True)
class Restart:
    """Part of a Change: dnsmasq is (re)started."""

    interfaces: tuple[str, ...]


@dataclass(frozen=True)
class Remove:
    """Part of a Change: dnsmasq is stopped and its unit and files go."""


def read(system: System, desired: Optional[Dns]) -> Current:
    """Return our dnsmasq's files, unit and process. Raises SystemFailure."""
    where = paths(system)
    running = system.units.active(UNIT) and system.read_file(where.pid) is not None
    taken: tuple[Listener, ...] = ()
    if desired is not None and not running:
        addresses = interface_addresses(system, _interfaces(desired))
        taken = tuple(listener for listener in listeners(system) if listener.conflicts(addresses))
    return Current(
        where=where,
        options=system.read_file(where.options),
        names=system.read_file(where.names),
        unit=system.units.read(UNIT),
        running=running,
        started_options=system.read_file(where.started_options) if running else None,
        started_names=system.read_file(where.started_names) if running else None,
        version=installed_version(system),
        taken=taken,
        forwarder=forwarder.read(system),
        resolvers=_host_resolvers(system, desired),
    )


def _interfaces(desired: Dns) -> tuple[str, ...]:
    return (desired.interface, *desired.lan)


def _host_resolvers(system: System, desired: Optional[Dns]) -> HostResolvers:
    if desired is None or not desired.for_host:
        return HostResolvers()
    return upward.read(system, interface_addresses(system, None))


def installed_version(system: System) -> Optional[tuple[int, int]]:
    """Return the version of dnsmasq, None when it is not installed or does not say."""
    if not system.has("dnsmasq"):
        return None
    match = re.search(r"version (\d+)\.(\d+)", system.read("dnsmasq", "--version"))
    return (int(match[1]), int(match[2])) if match else None


def interface_addresses(system: System, interfaces: Optional[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the addresses at which interfaces (None: all) can be asked; only what is there and up has some."""
    if not system.has("ip"):
        return ()
    links = (link for link in json.loads(system.read("ip", "-j", "address", "show")) if "UP" in link.get("flags", ()))
    asked = (link for link in links if interfaces is None or link["ifname"] in interfaces)
    return tuple(entry["local"] for link in asked for entry in link["addr_info"] if entry["scope"] != "link")


def plan(desired: Optional[Dns], current: Current) -> tuple[Change, ...]:
    """Return the changes to the files, and the restart if one is needed.

    Raises ReconcileError when a line is too long for dnsmasq, or another program has the port.
    """
    if desired is None:
        return _plan_removal(current)
    resolvers = upward.resolver_file(desired, current.resolvers)
    options, names = options_text(desired, current.version, resolvers, current.where.pinned), names_text(desired)
    where = current.where
    pins = desired.pinned_ttl is not None
    changes = [
        *_plan_file(str(where.options), where.options, current.options, options),
        *_plan_file(str(where.names), where.names, current.names, names),
        *_plan_file(f"unit {UNIT}", None, current.unit, unit_text(where, bound=binds(desired), pins=pins)),
    ]
    fresh = current.running and (current.started_options, current.started_names) == (options, names)
    if changes or not fresh:
        if current.taken:
            raise ReconcileError(
                f"port 53 is taken: {describe(current.taken[0])}; stop it, or let it listen only on "
                f"addresses that are not those of {' and '.join(_interfaces(desired))}"
            )
        before = "running" if current.running else "stopped"
        after = "restarted" if current.running else "running"
        changes.append(Change(CHANGE, f"service {UNIT}", before, after, Restart(_interfaces(desired))))
    if current.forwarder is None:
        return tuple(changes)
    # Whom dnsmasq asks is there before it asks, and goes when it asks no more.
    first, last = (
        forwarder.plan_additions(desired, current.forwarder),
        forwarder.plan_removals(desired, current.forwarder),
    )
    return (*first, *changes, *last)


def _plan_file(what: str, path: Optional[Path], before: Optional[str], after: str) -> list[Change]:
    if before == after:
        return []
    gone, new = _difference(list(single_names(before or "")), list(single_names(after)))
    return [Change(ADD if before is None else CHANGE, what, gone, new, Write(path, after))]


def _difference(before: list[str], after: list[str]) -> tuple[str, str]:
    old, new = set(before), set(after)
    return _shown([line for line in before if line not in new]), _shown([line for line in after if line not in old])


def _shown(lines: list[str]) -> str:
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(lines[:SHOWN] + more)


def _plan_removal(current: Current) -> tuple[Change, ...]:
    over_tls = forwarder.plan_removals(None, current.forwarder) if current.forwarder else ()
    if not current.running and (current.options, current.names, current.unit) == (None, None, None):
        return over_tls
    state = "running" if current.running else "stopped"
    return (Change(REMOVE, f"service {UNIT} and its files", state, "", Remove()), *over_tls)


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out the changes.

    The new configuration is tested before it replaces the old one; when dnsmasq does not answer with
    it, the old one is put back. Raises ReconcileError, and SystemFailure when a file cannot be written.
    """
    parts = [change.payload for change in changes]
    for part in parts:
        if isinstance(part, forwarder.Bring):
            forwarder.apply(system, part)
    _apply_own(system, parts)
    if any(isinstance(part, forwarder.Remove) for part in parts):
        forwarder.remove(system)


def _apply_own(system: System, parts: list[object]) -> None:
    """Carry out the changes of dnsmasq itself."""
    if any(isinstance(part, Remove) for part in parts):
        _remove(system)
        return
    writes = tuple(part for part in parts if isinstance(part, Write))
    restart = next((part for part in parts if isinstance(part, Restart)), None)
    if writes or restart:
        if not system.has("dnsmasq"):
            raise ReconcileError("dnsmasq is not installed: the package is called dnsmasq-base or dnsmasq")
        _test(system, writes)
        _replace(system, writes, restart)


def _test(system: System, writes: tuple[Write, ...]) -> None:
    """Let dnsmasq read the new files. Raises ReconcileError that has the line it does not take."""
    where = paths(system)
    candidates = {part.path: part.path.with_suffix(".candidate") for part in writes if part.path is not None}
    try:
        for part in writes:
            if part.path is not None:
                system.write_file(candidates[part.path], part.text)
        files = [f"--conf-file={candidates.get(path, path)}" for path in (where.options, where.names)]
        system.read("dnsmasq", "--test", *files)
    except SystemFailure as error:
        raise ReconcileError(_with_line(system, str(error))) from error
    finally:
        for candidate in candidates.values():
            system.remove_file(candidate)


def _with_line(system: System, message: str) -> str:
    """Return dnsmasq's complaint with the line that it complains about."""
    match = re.search(r"dnsmasq: (.*) at line (\d+) of (\S+)", message)
    if match is None:
        return f"dnsmasq does not take its new configuration: {message}"
    lines = (system.read_file(Path(match[3])) or "").splitlines()
    number = int(match[2])
    line = lines[number - 1] if number <= len(lines) else "(after its end)"
    name = Path(match[3]).with_suffix(".conf").name
    return f"dnsmasq does not take its new configuration: {match[1]}, line {number} of {name}: {line}"


def _replace(system: System, writes: tuple[Write, ...], restart: Optional[Restart]) -> None:
    was_running = system.units.active(UNIT)
    old = [(part.path, _text(system, part.path)) for part in writes]
    for part in writes:
        _put(system, part.path, part.text)
    if restart is None:
        return
    try:
        system.units.restart(UNIT)
        _wait(system, restart.interfaces)
    except (SystemFailure, ReconcileError) as error:
        reason = _reason(system, restart.interfaces, error)
        for path, text in old:
            _put(system, path, text)
        _back(system, was_running)
        raise ReconcileError(f"dnsmasq did not start with its new configuration: {reason}") from error


def _text(system: System, path: Optional[Path]) -> Optional[str]:
    return system.units.read(UNIT) if path is None else system.read_file(path)


def _put(system: System, path: Optional[Path], text: Optional[str]) -> None:
    """Give a file, or the unit when there is no path, this text; None: remove it."""
    if path is not None:
        if text is None:
            system.remove_file(path)
        else:
            system.write_file(path, text)
    elif text is not None:
        system.units.write(UNIT, text)
    # A unit is removed only after it was stopped, see _back.


def _back(system: System, was_running: bool) -> None:
    if was_running:
        system.units.restart(UNIT)
        return
    system.units.stop(UNIT)
    if system.read_file(paths(system).options) is None:
        system.units.remove(UNIT)


def _reason(system: System, interfaces: tuple[str, ...], error: Exception) -> str:
    """Return why it did not start: who has the port, else what systemd says."""
    if system.units.active(UNIT) and system.read_file(paths(system).pid) is not None:
        return str(error)  # it runs: the listeners may be its own
    addresses = interface_addresses(system, interfaces)
    taken = [listener for listener in listeners(system) if listener.conflicts(addresses)]
    return f"port 53 is taken: {describe(taken[0])}" if taken else str(error)


def _wait(system: System, interfaces: tuple[str, ...]) -> None:
    """Wait until dnsmasq answers at each address of the interfaces. Raises ReconcileError."""
    silent = list(interface_addresses(system, interfaces))
    end = time.monotonic() + PATIENCE
    while True:
        silent = [address for address in silent if not answers(address)]
        if not silent:
            break
        if time.monotonic() > end:
            raise ReconcileError(f"it does not answer at {silent[0]}")
        time.sleep(0.02)
    if not system.units.active(UNIT):
        raise ReconcileError("it ended at once")


def forget(system: System) -> None:
    """Empty the cache: an answer that comes out of it adds nothing to a set that was made anew."""
    system.units.reload(UNIT)


def _remove(system: System) -> None:
    where = paths(system)
    system.units.stop(UNIT)
    system.units.remove(UNIT)
    for path in (where.options, where.names):
        system.remove_file(path)
    system.remove_folder(where.pinned)
