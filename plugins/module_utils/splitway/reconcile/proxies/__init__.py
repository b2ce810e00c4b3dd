# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `proxies`: SOCKS5 and HTTP proxies, each a squid of our own, with our SOCKS5 in front of it.

The package's own squid is not touched. A program is restarted when its configuration changes; a password that changes
is only copied to where the programs read it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Optional

from ...kept import Kept
from ...ports import pick
from ...state import PROXY_ACCOUNT, PortRange, Proxies
from ...system import System, SystemFailure
from .. import accounts, listening
from ..base import ADD, CHANGE, REMOVE, Change, ReconcileError
from .daemons import CONFIGURATION, USERS, Daemon, Ports, daemons
from .live import glimpse, read, wanted
from .model import Bring, Current, Hand, KeepPorts, MakeUser, Remove, RemoveFolder, RemoveUser

__all__ = ["PACKAGES", "Current", "apply", "glimpse", "plan", "read"]

PATIENCE = 15.0  # seconds that a started program has until it listens
PROGRAM = Path("usr/sbin/squid")
PACKAGES = ("squid",)


def plan(desired: Optional[Proxies], current: Current) -> tuple[Change, ...]:
    """Return the changes. Raises ReconcileError when no port of a range is free."""
    asked = wanted(desired)
    ports = pick(asked, current.listeners)
    found = daemons(desired, ports, current.where, current.addresses) if desired is not None else ()
    users = () if desired is None else desired.accounts
    changes = [Change(ADD, f"user {user}", "", user, MakeUser(user)) for user in users if user not in current.users]
    changes += _plan_ports([item.range for item in asked], ports)
    changes += [change for daemon in found for change in _plan_daemon(daemon, current)]
    return (*changes, *_plan_removals(found, users, current))


def _plan_ports(ranges: Iterable[PortRange], ports: Ports) -> Iterator[Change]:
    """Yield the change that remembers ports which are others than were chosen before."""
    new = {item.key: ports[item.key] for item in ranges if ports[item.key] != item.chosen}
    if new:
        before = "\n".join(f"{item.key}: {item.chosen}" for item in ranges if item.key in new and item.chosen)
        after = "\n".join(f"{key}: {port}" for key, port in new.items())
        yield Change(CHANGE if before else ADD, "ports of proxies", before, after, KeepPorts(new))


def _plan_daemon(daemon: Daemon, current: Current) -> Iterator[Change]:
    unit = current.units.get(daemon.unit)
    there = {name: current.files.get(daemon.folder / name) for name in daemon.files}
    as_it_is = (
        unit is not None
        and (unit.running, unit.at_boot, unit.text) == (True, daemon.at_boot, daemon.text)
        and there == dict(daemon.files)
    )
    started = {} if unit is None else {name: unit.started.get(name) for name in daemon.files}
    if not as_it_is or started != dict(daemon.files):
        action, state = (ADD, "") if unit is None else (CHANGE, "running" if unit.running else "stopped")
        was = "".join(text or "" for text in there.values() if text not in daemon.files.values())
        now = "".join(text for name, text in daemon.files.items() if text != there[name])
        before, after = f"{state}\n{was}".strip(), f"running\n{now}".strip()
        yield Change(action, f"service {daemon.unit} (proxy {daemon.proxy})", before, after, Bring(daemon))
        return
    kept, read_now = current.files.get(daemon.folder / USERS, ""), (unit.started.get(USERS, "") if unit else "")
    if (kept, read_now) != (daemon.users, daemon.users):
        what = f"users of proxy {daemon.proxy} ({daemon.unit})"
        yield Change(CHANGE, what, _names(read_now), _names(daemon.users), Hand(daemon))


def _names(users: str) -> str:
    """Return the names of users, without what they are known by."""
    return "\n".join(line.partition(":")[0] for line in users.splitlines())


def _plan_removals(found: tuple[Daemon, ...], users: tuple[str, ...], current: Current) -> Iterator[Change]:
    wanted = {daemon.unit for daemon in found}
    for name, unit in sorted(current.units.items()):
        if name not in wanted:
            yield Change(REMOVE, f"service {name}", "running" if unit.running else "stopped", "", Remove(name))
    kept = {daemon.folder for daemon in found}
    root = current.where.configuration
    folders = {root / path.relative_to(root).parts[0] for path in current.files}
    for folder in sorted(folders - kept):
        yield Change(REMOVE, f"folder {folder}", str(folder), "", RemoveFolder(folder))
    for user in sorted(current.users - set(users)):
        yield Change(REMOVE, f"user {user}", user, "", RemoveUser(user))


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out the changes. Raises ReconcileError; a program that does not start with them runs as before."""
    for part in (change.payload for change in changes):
        if isinstance(part, MakeUser):
            accounts.make(system, part.user, PROXY_ACCOUNT)
        elif isinstance(part, KeepPorts):
            Kept(system).ports.add(part.ports)
        elif isinstance(part, Bring):
            _bring(system, part.daemon)
        elif isinstance(part, Hand):
            _write_users(system, part.daemon)
            system.units.reload(part.daemon.unit)
        elif isinstance(part, Remove):
            system.units.stop(part.unit)
            system.units.disable(part.unit)
            system.units.remove(part.unit)
        elif isinstance(part, RemoveFolder):
            system.remove_folder(part.folder)
            if not system.list_files(part.folder.parent):
                system.remove_folder(part.folder.parent)
        elif isinstance(part, RemoveUser):
            accounts.remove(system, part.user)


def _bring(system: System, daemon: Daemon) -> None:
    """Start a program with its files; put the old ones back when it does not listen."""
    if not (Path("/") / PROGRAM).exists():
        raise ReconcileError(f'squid is not installed: proxy "{daemon.proxy}" needs the package squid')
    _check(system, daemon)
    old = {name: system.read_file(daemon.folder / name) for name in daemon.files}
    unit, was_running = system.units.read(daemon.unit), system.units.active(daemon.unit)
    try:
        _write(system, daemon.folder, daemon.files)
        _write_users(system, daemon)
        system.units.write(daemon.unit, daemon.text)
        system.units.restart(daemon.unit)
        _wait(system, daemon)
        if daemon.at_boot:
            system.units.enable(daemon.unit)
    except (SystemFailure, ReconcileError) as error:
        _put_back(system, daemon, old, unit, was_running=was_running)
        raise ReconcileError(f'{daemon.unit} of proxy "{daemon.proxy}" did not start: {error}') from error


def _put_back(
    system: System, daemon: Daemon, old: Mapping[str, Optional[str]], unit: Optional[str], *, was_running: bool
) -> None:
    system.units.stop(daemon.unit)
    _write(system, daemon.folder, {name: text for name, text in old.items() if text is not None})
    for name in (name for name, text in old.items() if text is None):
        system.remove_file(daemon.folder / name)
    if unit is None:
        system.units.remove(daemon.unit)
        return
    system.units.write(daemon.unit, unit)
    if was_running:
        system.units.restart(daemon.unit)


def _write(system: System, folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        if system.read_file(folder / name) != text:
            system.write_file(folder / name, text)


def _write_users(system: System, daemon: Daemon) -> None:
    if daemon.users:
        _write(system, daemon.folder, {USERS: daemon.users})
    else:
        system.remove_file(daemon.folder / USERS)


def _check(system: System, daemon: Daemon) -> None:
    """Let squid read its configuration before anything is changed. Raises ReconcileError."""
    text = daemon.files.get(CONFIGURATION)
    if text is None:
        return
    candidate = daemon.folder / f"{CONFIGURATION}.candidate"
    try:
        system.write_file(candidate, text)
        system.read("/usr/sbin/squid", "-k", "parse", "-f", str(candidate))
    except SystemFailure as error:
        fatal = next((line for line in str(error).splitlines() if "FATAL" in line), str(error))
        raise ReconcileError(f'proxy "{daemon.proxy}": squid does not take its configuration: {fatal}') from error
    finally:
        system.remove_file(candidate)


def _wait(system: System, daemon: Daemon) -> None:
    """Wait until the program listens everywhere. Raises ReconcileError."""
    number = accounts.number(system, daemon.user)
    end = time.monotonic() + PATIENCE
    while True:
        heard = {item.address for item in listening.bound(system, (daemon.port,)) if item.user == number}
        missing = [address for address in daemon.addresses if address not in heard]
        if not missing:
            return
        if time.monotonic() > end or not system.units.active(daemon.unit):
            raise ReconcileError(f"it does not listen at {missing[0]}, port {daemon.port}")
        time.sleep(0.05)
