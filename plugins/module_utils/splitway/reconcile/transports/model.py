# SPDX-License-Identifier: GPL-3.0-or-later
"""What the section `transports` is on a host: processes, each with a unit and a folder of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from ...relay import Command
from ...relay.versions import Version
from ...state import TRANSPORT_USER
from ...system import System
from ..listening import Listener, Socket

USER, ABOUT = TRANSPORT_USER, "splitway WebSockets"
"""Whose processes these are: the policy of the gateway's own connections leaves what they send alone."""

WSTUNNEL, NGINX = "wstunnel", "nginx"

PREFIX = "splitway-transport-"  # of our units and of their folders below /run


@dataclass(frozen=True)
class Process:
    """A program that is to run."""

    name: str  # of its unit and folders
    about: str  # in words, without a secret: "upstream us: wss://exit.example:443"
    program: str  # wstunnel | websocat | nginx
    command: Command
    secret: str = field(default="", repr=False)  # what none of the arguments may show where all can read it
    sockets: tuple[Socket, ...] = ()  # where it listens when it runs
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)  # files of ours for it, by name: secrets
    copies: Mapping[str, str] = field(default_factory=dict)  # name → a file of the operator's, which it gets a copy of
    candidate: Optional[Callable[[Path], str]] = field(default=None, repr=False, compare=False)  # what can be tested
    rereads: bool = False  # it takes changed copies without a restart
    signalled: bool = False  # … once it is told
    late: bool = False  # it listens only when its server has answered
    at_boot: bool = False  # systemd starts it: an exit has no agent that would

    @property
    def unit(self) -> str:
        return f"{PREFIX}{self.name}.service"


@dataclass(frozen=True)
class Places:
    """Where a process has its files."""

    folder: Path  # root's alone
    runtime: Path  # its own folder below /run: systemd makes it and gives it to our user

    @property
    def stamp(self) -> Path:
        """What a process that is started now is started with."""
        return self.folder / "stamp"

    @property
    def started(self) -> Path:
        """What the running process was started with: a copy of the stamp, made by each start."""
        return self.runtime / "stamp"

    @property
    def environment(self) -> Path:
        return self.folder / "environment"


def places(system: System, name: str) -> Places:
    """Return the places of a process on this host."""
    runtime = system.runtime.with_name(f"{system.runtime.name}{PREFIX[len('splitway') :]}{name}")
    return Places(folder(system) / name, runtime)


def folder(system: System) -> Path:
    """Return the folder of all our files for this section."""
    return system.configuration / "transports"


@dataclass(frozen=True)
class Found:
    """A process as it is on the host."""

    unit: Optional[str] = None
    running: bool = False
    enabled: bool = False
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)  # its files, with stamp and environment
    started: Optional[str] = None  # what the running process was started with


_COPY = re.compile(r"^copy (\S+) (\d+) (\d+)$", re.MULTILINE)

CopyState = tuple[int, int]
"""Size and time of a file's last change (ns): the agent may look at a key that it cannot read."""


@dataclass(frozen=True)
class Current:
    """What the host has of the section, and what it needs to know to plan."""

    where: Callable[[str], Places]  # by the name of a process
    processes: Mapping[str, Found] = field(default_factory=dict)
    user: Optional[int] = None  # the number of our user
    declared: Optional[str] = None  # our file that makes it
    listeners: tuple[Listener, ...] = ()  # on the ports that we may take
    copies: Mapping[str, CopyState] = field(default_factory=dict)  # by path; without one that is not to be seen
    problems: Mapping[str, str] = field(default_factory=dict)  # path of a certificate or key → what is wrong with it
    versions: Mapping[str, Optional[Version]] = field(default_factory=dict)  # by program; None: not installed
    remembered: Mapping[str, int] = field(default_factory=dict)  # ports by key
    ipv6: bool = True  # whether this kernel has it


def digest(text: str) -> str:
    """Return what is the same for the same text, and tells nothing of it."""
    return hashlib.sha256(text.encode()).hexdigest()


def stamp(unit: str, texts: Mapping[str, str], copies: Mapping[str, CopyState]) -> str:
    """Return what a process is started with: lines of digests; of copies of the operator's files, when they changed."""
    lines = [f"unit {digest(unit)}", *(f"text {name} {digest(text)}" for name, text in sorted(texts.items()))]
    lines += [f"copy {name} {size} {changed}" for name, (size, changed) in sorted(copies.items())]
    return "".join(f"{line}\n" for line in lines)


def stamped_copies(text: str) -> dict[str, CopyState]:
    """Return what a stamp says of the operator's files."""
    return {name: (int(size), int(changed)) for name, size, changed in _COPY.findall(text)}


def without_copies(text: str) -> str:
    """Return a stamp without what a process rereads."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("copy "))
