# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `agent`: the version of the engine in use, the program, the units, and that the agent runs.

A version is shipped beforehand (versions.py); what is brought here is which one is current. What a running
agent was started with is known by copies, of the link to its version and of its unit: it is restarted when they
are others, and only then, so that an agent that heals this section does not restart itself again and again. What it
looks after needs no restart, it reads the generation when that changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from ...network_namespace import FOLLOWER, chosen, follower_text, unpin
from ...state import Agent
from ...system import System
from ..base import ADD, CHANGE, REMOVE, Change, ReconcileError
from . import countries, versions
from .text import AGENT, GUARD, Places, agent_text, guard_text, places, program_text, rotation_text

__all__ = ["Current", "apply", "plan", "read"]


@dataclass(frozen=True)
class File:
    """One file of the agent's: as it is to be."""

    path: Path
    text: str
    mode: int


@dataclass(frozen=True)
class Current:
    """The agent as it is on the host."""

    where: Places
    wanted: tuple[File, ...] = ()  # the files that an agent of this version has
    files: Mapping[Path, Optional[str]] = field(default_factory=dict)
    units: Mapping[str, Optional[str]] = field(default_factory=dict)  # unit → its text
    enabled: frozenset[str] = frozenset()
    refreshing: countries.Current = field(default_factory=countries.Current)
    versions: tuple[str, ...] = ()
    whole: bool = False  # whether the desired version is there
    link: Optional[str] = None  # the version in use
    running: bool = False
    # What the running agent was started with.
    started: Optional[str] = None
    started_unit: Optional[str] = None


@dataclass(frozen=True)
class Engine:
    """Part of a Change: this version is to be there. It cannot be made here, only shipped."""

    version: str


@dataclass(frozen=True)
class Link:
    """Part of a Change: this version becomes the one in use."""

    version: str


@dataclass(frozen=True)
class Unit:
    """Part of a Change: a unit gets this text (None: it has it), and is started at boot."""

    name: str
    text: Optional[str]


@dataclass(frozen=True)
class Restart:
    """Part of a Change: the agent is (re)started."""


@dataclass(frozen=True)
class Forget:
    """Part of a Change: a version goes."""

    version: str


@dataclass(frozen=True)
class Remove:
    """Part of a Change: the agent is stopped, and all that is its own goes."""


def read(system: System, desired: Optional[Agent]) -> Current:
    """Return the agent's files, units and process. Raises SystemFailure."""
    where = places(system)
    wanted = (
        File(where.program, program_text(where), 0o755),
        File(where.rotation, rotation_text(system), 0o644),
    )
    names = (GUARD, AGENT, FOLLOWER)
    running = system.units.active(AGENT)
    return Current(
        where=where,
        wanted=wanted,
        files={file.path: system.read_file(file.path) for file in wanted},
        units={name: system.units.read(name) for name in names},
        enabled=frozenset(name for name in names if system.units.enabled(name)),
        versions=versions.installed(system),
        whole=desired is not None and versions.is_whole(system, desired.engine),
        refreshing=countries.read(system),
        link=system.read_link(where.current),
        running=running,
        started=system.read_link(where.started) if running else None,
        started_unit=system.read_file(where.started_unit) if running else None,
    )


def plan(desired: Optional[Agent], current: Current) -> tuple[Change, ...]:
    """Return the changes: the version, its files and units, a restart where the running one is another."""
    if desired is None or not desired.engine:  # a state that was only compiled has no engine yet
        return _plan_removal(current)
    return (
        *_version(desired.engine, current),
        *_files(current),
        *_units(desired, current),
        *countries.plan(desired.countries, current.where, current.refreshing),
        *_run(desired, current),
    )


def _version(engine: str, current: Current) -> Iterator[Change]:
    if not current.whole:
        yield Change(ADD, f"engine {engine}", "", engine, Engine(engine))
    if current.link != engine:
        action = CHANGE if current.link else ADD
        yield Change(action, "engine in use", current.link or "", engine, Link(engine))


def _files(current: Current) -> Iterator[Change]:
    for file in current.wanted:
        before = current.files[file.path]
        if before != file.text:
            yield Change(ADD if before is None else CHANGE, str(file.path), before or "", file.text, file)


def _units(desired: Agent, current: Current) -> Iterator[Change]:
    wanted = {GUARD: guard_text(current.where)}
    if desired.follows:
        wanted[FOLLOWER] = follower_text(current.where.program, desired.follows)
    for name, text in {**wanted, AGENT: agent_text(current.where, desired.folders)}.items():
        before = current.units[name]
        if before != text:
            yield Change(ADD if before is None else CHANGE, f"unit {name}", before or "", text, Unit(name, text))
        elif name not in current.enabled:
            yield Change(CHANGE, f"unit {name}", "disabled", "enabled", Unit(name, None))


def _run(desired: Agent, current: Current) -> Iterator[Change]:
    fresh = (current.started, current.started_unit) == (desired.engine, agent_text(current.where, desired.folders))
    if not (current.running and fresh):
        before, after = ("running", "restarted") if current.running else ("stopped", "running")
        yield Change(CHANGE, f"service {AGENT}", before, after, Restart())
    others = [name for name in current.versions if name not in (desired.engine, current.link)]
    # The one in use until now is the next to come back to.
    kept = versions.KEPT - (current.link not in (None, desired.engine))
    for name in others[kept:]:
        yield Change(REMOVE, f"engine {name}", name, "", Forget(name))


def _plan_removal(current: Current) -> tuple[Change, ...]:
    there = (
        *(current.running, current.link, current.refreshing.units),
        *(*current.files.values(), *current.units.values(), *current.versions),
    )
    if not any(there):
        return ()
    before = "running" if current.running else "stopped"
    return (Change(REMOVE, f"service {AGENT}, its engine and files", before, "", Remove()),)


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out the changes. Raises ReconcileError, and SystemFailure when the agent does not start."""
    for change in changes:
        part = change.payload
        if isinstance(part, Engine):
            if not versions.is_whole(system, part.version):
                raise ReconcileError(
                    f"the engine {part.version} is not whole on this host: run site.yml, which ships it"
                )
        elif isinstance(part, Link):
            _use(system, part.version)
        elif isinstance(part, File):
            _write(system, part)
        elif isinstance(part, Unit):
            if part.text is not None:
                system.units.write(part.name, part.text)
            system.units.enable(part.name)
        elif isinstance(part, countries.Waiting):
            countries.apply(system, part)
        elif isinstance(part, Restart):
            system.units.restart(AGENT)
        elif isinstance(part, Forget):
            system.remove_folder(places(system).library / part.version)
        elif isinstance(part, Remove):
            _remove(system)


def _use(system: System, version: str) -> None:
    where = places(system)
    before = system.read_link(where.current)
    system.write_link(where.current, version)
    # The versions that were used last are kept: the one until now before those that only came with runs that failed.
    for used in (before, version):
        if used is not None and (where.library / used).is_dir():
            os.utime(where.library / used)


def _write(system: System, file: File) -> None:
    if not file.path.parent.is_dir():
        raise ReconcileError(f"{file.path.parent} does not exist: is the package logrotate installed?")
    system.write_file(file.path, file.text, file.mode)


def _remove(system: System) -> None:
    where = places(system)
    countries.apply(system, countries.Waiting({}))
    follower = (FOLLOWER,) if system.units.read(FOLLOWER) is not None else ()
    for name in (AGENT, GUARD, *follower):
        system.units.stop(name)
        system.units.disable(name)
        system.units.remove(name)
    unpin(system, chosen(system))
    for path in (where.program, where.rotation, where.started, where.started_unit):
        system.remove_file(path)
    for folder in (where.library, system.data):
        system.remove_folder(folder)
