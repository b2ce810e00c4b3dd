# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconciler of PAC files and of the web server that gives them out: an instance of Debian's nginx of our own.

Other files are given out from one moment to the next, without a restart: a browser that gets no PAC file goes
directly. The package's own service, and whatever else runs an nginx on this host, is not touched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from ...ports import Wanted, filled, passed_over, pick
from ...state import Web
from ...system import System
from .. import certificates, listening
from ..base import ADD, CHANGE, REMOVE, Change
from ..listening import Listener, Socket
from . import copies, files, server
from .text import UNIT, Paths, configuration_text, paths, unit_text

_LISTEN = re.compile(r"^ +listen (?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<v4>[0-9.]+)):(?P<port>\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Current:
    """Our web server as it is on the host."""

    where: Paths
    configuration: Optional[str] = None
    unit: Optional[str] = None
    running: bool = False
    started: Optional[str] = None  # what the running process was started with
    published: Mapping[str, str] = field(default_factory=dict)  # file name → text
    copies: copies.Folders = field(default_factory=dict)
    picked: Mapping[str, int] = field(default_factory=dict)  # the ports that it has, or would take
    passed_over: tuple[Listener, ...] = ()  # who has the ports before these
    fingerprint: str = ""  # of the certificate


@dataclass(frozen=True)
class Publish:
    """Part of a Change: these files are given out, by name."""

    files: Mapping[str, str]


def read(system: System, desired: Optional[Web]) -> Current:
    """Return our web server's files, unit and process, and the ports that it can have.

    Raises SystemFailure, and ReconcileError when all ports are taken, or the certificate is of no use.
    """
    where = paths(system)
    configuration, unit = system.read_file(where.configuration), system.units.read(UNIT)
    running = unit is not None and system.units.active(UNIT)
    started = system.read_file(where.started) if running else None
    picked, others = _picked(system, desired, started)
    return Current(
        where=where,
        configuration=configuration,
        unit=unit,
        running=running,
        started=started,
        published=files.published(system, where),
        copies=copies.read(system, desired, configuration),
        picked=picked,
        passed_over=others,
        fingerprint=_fingerprint(system, desired),
    )


def _picked(
    system: System, desired: Optional[Web], started: Optional[str]
) -> tuple[dict[str, int], tuple[Listener, ...]]:
    """Return the ports for the server, and who has those before them."""
    if desired is None:
        return {}, ()
    wanted = [Wanted(item, "tcp", desired.listen) for item in (desired.http, desired.https) if item is not None]
    numbers = {number for item in wanted for number in range(item.range.low, item.range.high + 1)}
    own = _sockets(started)
    found = [item for item in listening.read(system, numbers) if Socket("tcp", item.address, item.port) not in own]
    picked = pick(wanted, found)
    others = (listener for item in wanted for listener in passed_over(item, picked[item.range.key], found))
    return picked, tuple(others)


def _sockets(configuration: Optional[str]) -> set[Socket]:
    """Return where a server with this configuration listens."""
    found = _LISTEN.finditer(configuration or "")
    return {Socket("tcp", match["v6"] or match["v4"], int(match["port"])) for match in found}


def _fingerprint(system: System, desired: Optional[Web]) -> str:
    """Return what tells a certificate from the one that comes after it. Raises ReconcileError: it is of no use."""
    if desired is None or desired.https is None or (system.check_mode and not system.has("openssl")):
        return ""
    found = certificates.read(system, desired.certificate)
    certificates.check(system, found, desired.key, system.now())
    return hashlib.sha256((system.read_file(Path(desired.certificate)) or "").encode()).hexdigest()[:16]


def plan(desired: Optional[Web], current: Current) -> tuple[Change, ...]:
    """Return the changes: files before the server that gives them out, removals last. Raises ReconcileError."""
    if desired is None:
        return _plan_removal(current)
    wanted = filled(desired, current.picked)
    changes = [*_plan_files(wanted, current), *copies.plan(wanted, current.copies), *_plan_server(wanted, current)]
    return tuple(sorted(changes, key=lambda change: change.action == REMOVE))


def _plan_files(wanted: Web, current: Current) -> list[Change]:
    published = files.texts(wanted)
    if published == current.published:
        return []
    before, after = files.difference(current.published, published)
    what = f"PAC files {', '.join(sorted(published))}"
    return [Change(CHANGE if current.published else ADD, what, before, after, Publish(published))]


def _plan_server(wanted: Web, current: Current) -> list[Change]:
    configuration = configuration_text(wanted, current.where, current.fingerprint)
    unit = unit_text(wanted, current.where)
    as_it_is = (current.configuration, current.unit, current.running, current.started)
    if as_it_is == (configuration, unit, True, configuration):
        return []
    return [
        Change(
            ADD if current.unit is None else CHANGE,
            f"service {UNIT}",
            _described(current.started, ()),
            _described(configuration, current.passed_over),
            server.Bring(wanted, configuration, unit, dict(current.picked)),
        )
    ]


def _described(configuration: Optional[str], others: tuple[Listener, ...]) -> str:
    """Return where a server listens, for people, and why not elsewhere."""
    places = sorted(map(str, _sockets(configuration)))
    return "\n".join([*(f"listens on {place}" for place in places), *map(str, others)])


def _plan_removal(current: Current) -> tuple[Change, ...]:
    if (current.configuration, current.unit, current.published) == (None, None, {}):
        return ()
    stopped = Change(REMOVE, f"service {UNIT} and its files", _described(current.started, ()), "", server.Remove())
    return (*copies.plan(None, current.copies), stopped)


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out the changes. Raises ReconcileError, SystemFailure, and OSError when a file cannot be written."""
    for part in (change.payload for change in changes):
        if isinstance(part, Publish):
            files.publish(system, paths(system), part.files)
        elif isinstance(part, copies.Copy):
            copies.apply(system, part)
        elif isinstance(part, server.Bring):
            server.bring(system, part)
        elif isinstance(part, server.Remove):
            server.remove(system)
