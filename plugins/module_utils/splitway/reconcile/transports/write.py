# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out what the section's plan says: users, ports, processes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Union

from ...kept import Kept
from ...system import System, SystemFailure
from .. import accounts, listening
from ..base import Change, ReconcileError
from ..listening import Socket, conflicts
from .model import ABOUT, PREFIX, USER, Found, Process, folder, places

PATIENCE = 10.0  # seconds that a started program has until it listens
FIRST = 1.0  # seconds in which one ends that cannot run; it is not waited for longer where it listens late


@dataclass(frozen=True)
class Account:
    """Part of a Change: our user is made."""


@dataclass(frozen=True)
class NoAccount:
    """Part of a Change: our user goes."""


@dataclass(frozen=True)
class Ports:
    """Part of a Change: ports that were picked are remembered."""

    ports: Mapping[str, int]


@dataclass(frozen=True)
class NoPort:
    """Part of a Change: a port is remembered no more."""

    key: str


@dataclass(frozen=True)
class Bring:
    """Part of a Change: a process runs with these files."""

    process: Process
    unit: str
    texts: Mapping[str, str] = field(repr=False)  # by name, the stamp included


@dataclass(frozen=True)
class Reload:
    """Part of a Change: a process that runs takes new copies of the operator's files."""

    process: Process
    unit: str
    texts: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Enable:
    """Part of a Change: systemd starts a unit at boot."""

    unit: str


@dataclass(frozen=True)
class Stop:
    """Part of a Change: a process ends, and its unit and files go."""

    name: str


@dataclass(frozen=True)
class _Started:
    """A process that was started, and what there was before it."""

    part: Bring
    old: Found
    at: float  # monotonic seconds


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out the changes: processes are started one after the other, and waited for together.

    Raises ReconcileError, and SystemFailure when a file cannot be written.
    """
    started: list[_Started] = []
    for change in changes:
        part = change.payload
        if isinstance(part, (Stop, NoPort, NoAccount)):
            _see_running(system, started)
            started = []
            _remove(system, part)
        elif isinstance(part, Account):
            accounts.make(system, USER, ABOUT)
        elif isinstance(part, Ports):
            Kept(system).ports.add(part.ports)
        elif isinstance(part, Bring):
            started.append(_start(system, part))
        elif isinstance(part, Reload):
            _write(system, part)
            system.units.reload(part.process.unit)
        elif isinstance(part, Enable):
            system.units.enable(part.unit)
    _see_running(system, started)


def _remove(system: System, part: Union[Stop, NoPort, NoAccount]) -> None:
    if isinstance(part, Stop):
        _stop(system, part.name)
    elif isinstance(part, NoPort):
        Kept(system).ports.remove(part.key)
    else:
        accounts.remove(system, USER)


def _start(system: System, part: Bring) -> _Started:
    """Start a process with new files. Raises ReconcileError when it cannot be, with the old ones back."""
    process = part.process
    program = process.command.arguments[0]
    if not system.has(program):
        raise ReconcileError(f"{process.about}: there is no program {program}: see splitway_programs.{process.program}")
    _test(system, process)
    old = replace(kept(system, process.name), running=system.units.active(process.unit))
    started = _Started(part, old, time.monotonic())
    try:
        _write(system, part)
        system.units.restart(process.unit)
    except SystemFailure as error:
        _put_back(system, started)
        raise ReconcileError(f"{process.about}: it did not start: {error}") from error
    return started


def _see_running(system: System, started: Sequence[_Started]) -> None:
    """Wait until processes run and listen; put back what was before each that does not, and raise ReconcileError."""
    failures = []
    for item in started:
        try:
            _wait(system, item.part.process, item.at)
        except (SystemFailure, ReconcileError) as error:
            _put_back(system, item)
            failures.append(f"{item.part.process.about}: it did not start: {error}")
    if failures:
        raise ReconcileError("; ".join(failures))


def _put_back(system: System, item: _Started) -> None:
    name, old, part = item.part.process.name, item.old, item.part
    if old.unit is None:
        _stop(system, name)
    elif (old.unit, dict(old.texts)) != (part.unit, dict(part.texts)):
        _put(system, name, old.unit, old.texts)
        if old.running:
            system.units.restart(part.process.unit)


def kept(system: System, name: str) -> Found:
    """Return a process's unit and files as they are."""
    where = places(system, name)
    texts = {file: system.read_file(where.folder / file) or "" for file in system.list_files(where.folder)}
    return Found(system.units.read(f"{PREFIX}{name}.service"), texts=texts)


def _write(system: System, part: Union[Bring, Reload]) -> None:
    _put(system, part.process.name, part.unit, part.texts)


def _put(system: System, name: str, unit: str, texts: Mapping[str, str]) -> None:
    where = places(system, name)
    for file in set(system.list_files(where.folder)) - set(texts):
        system.remove_file(where.folder / file)
    for file, text in texts.items():
        if system.read_file(where.folder / file) != text:
            system.write_file(where.folder / file, text)
    system.units.write(f"{PREFIX}{name}.service", unit)


def _test(system: System, process: Process) -> None:
    """Let nginx read its new configuration. Raises ReconcileError with what it does not take.

    As root it would give its folders to another user, which the agent has no right to.
    """
    if process.candidate is None:
        return
    own = folder(system) / "candidate"
    try:
        system.write_file(own / "nginx.conf", process.candidate(own))
        system.read(process.command.arguments[0], "-t", "-e", "stderr", "-g", "user root;", "-c", f"{own}/nginx.conf")
    except SystemFailure as error:
        raise ReconcileError(f"{process.about}: nginx does not take its configuration: {error}") from error
    finally:
        system.remove_folder(own)


def _wait(system: System, process: Process, began: float) -> None:
    """Wait until the process listens at all its sockets. Raises ReconcileError that names who does in its place."""
    while True:
        silent = [socket for socket in process.sockets if not _listens(system, socket)]
        running, waited = system.units.executing(process.unit), time.monotonic() - began
        if running and (not silent or (process.late and waited > FIRST)):
            return
        if waited > (PATIENCE if running else FIRST):
            break
        time.sleep(0.02)
    strangers = [
        listener
        for listener in listening.read(system, [socket.port for socket in silent])
        if any(conflicts(listener, socket) for socket in silent)
    ]
    if strangers:
        raise ReconcileError(str(strangers[0]))
    raise ReconcileError(f"it does not listen on {silent[0]}" if running and silent else "it ends at once")


def _listens(system: System, socket: Socket) -> bool:
    user = accounts.number(system, USER)
    found = listening.bound(system, (socket.port,))
    return any(listener.user == user and conflicts(listener, socket) for listener in found)


def _stop(system: System, name: str) -> None:
    unit = f"{PREFIX}{name}.service"
    system.units.stop(unit)
    system.units.disable(unit)
    system.units.remove(unit)
    system.remove_folder(places(system, name).folder)
    if not system.list_files(folder(system)):
        system.remove_folder(folder(system))
