# SPDX-License-Identifier: GPL-3.0-or-later
"""Our proxies as they are on the host, and what a Change of them carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import listening
from .daemons import Daemon, Paths


@dataclass(frozen=True)
class Unit:
    """A program as it is on the host."""

    text: str
    running: bool
    at_boot: bool = False
    started: Mapping[str, str] = field(default_factory=dict)  # name → text of the copies that it runs from


@dataclass(frozen=True)
class Current:
    """Our proxies as they are on the host."""

    where: Paths
    units: Mapping[str, Unit] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    users: frozenset[str] = frozenset()
    listeners: tuple[listening.Listener, ...] = ()  # of others, at ports that we may want
    addresses: tuple[str, ...] = ()  # the host's public ones, where a proxy must not come back to it by them


@dataclass(frozen=True)
class MakeUser:
    """Part of a Change: a user of the system."""

    user: str


@dataclass(frozen=True)
class KeepPorts:
    """Part of a Change: ports that were chosen are remembered."""

    ports: Mapping[str, int]


@dataclass(frozen=True)
class Bring:
    """Part of a Change: a program runs as this says."""

    daemon: Daemon


@dataclass(frozen=True)
class Hand:
    """Part of a Change: a program that runs is given new passwords."""

    daemon: Daemon


@dataclass(frozen=True)
class Remove:
    """Part of a Change: a program ends, and its unit goes."""

    unit: str


@dataclass(frozen=True)
class RemoveFolder:
    """Part of a Change: a proxy's files go."""

    folder: Path


@dataclass(frozen=True)
class RemoveUser:
    """Part of a Change: a user of the system goes."""

    user: str
