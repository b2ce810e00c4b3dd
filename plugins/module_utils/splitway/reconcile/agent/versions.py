# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions of the engine on a gateway: a folder each, so that a run that is rolled back finds the last one."""

from __future__ import annotations

from pathlib import Path

from ...engine import PACKAGE, EngineError, contents, version
from ...system import System
from ..base import ReconcileError
from .text import places

KEPT = 2  # versions beside the one in use: that of the generation before, and that of a run rolled back


def installed(system: System) -> tuple[str, ...]:
    """Return the versions that are there, the one that came or was used last first."""
    library = places(system).library
    names = [name for name in system.list_files(library) if (library / name).is_dir() and name != "current"]
    return tuple(sorted(names, key=lambda name: (library / name).stat().st_mtime, reverse=True))


def is_whole(system: System, name: str) -> bool:
    """Return whether a version is there, every file as it was shipped."""
    folder = places(system).library / name / PACKAGE
    return folder.is_dir() and version(folder) == name


def install(system: System, name: str, source: Path) -> None:
    """Put the version in an archive beside those that are there. Raises ReconcileError, OSError."""
    library = places(system).library
    try:
        files = contents(source.read_bytes())
    except EngineError as error:
        raise ReconcileError(f"the engine's archive {source} is damaged: {error}") from error
    system.remove_folder(library / name)  # a damaged one
    system.write_folder(library / name, files)
    if not is_whole(system, name):
        system.remove_folder(library / name)
        raise ReconcileError(f"the engine's archive {source} does not hold the version {name}")
    # The agent may not write beside its code: compiled now, it need not do so at each start.
    system.run("/usr/bin/python3", "-I", "-m", "compileall", "-q", str(library / name))
