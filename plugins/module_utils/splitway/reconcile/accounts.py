# SPDX-License-Identifier: GPL-3.0-or-later
"""System users of our own daemons, made by systemd-sysusers from a file of ours, and removed with it."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from ..system import System

FOLDER = Path("etc/sysusers.d")
PASSWD = Path("etc/passwd")


def number(system: System, name: str) -> Optional[int]:
    """Return a user's number on this host, None when there is no such user."""
    for line in (system.read_file(system.root / PASSWD) or "").splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return int(fields[2])
    return None


def beginning(system: System, prefix: str) -> dict[str, int]:
    """Return the users whose names begin so, and their numbers."""
    lines = (line.split(":") for line in (system.read_file(system.root / PASSWD) or "").splitlines())
    return {fields[0]: int(fields[2]) for fields in lines if fields[0].startswith(prefix)}


def declared(system: System, name: str) -> Optional[str]:
    """Return the text of our file for a user, None when there is none."""
    return system.read_file(_file(system, name))


def text(name: str, description: str) -> str:
    """Return the file for a user without a shell and without a home."""
    return f'# Made by splitway\nu {name} - "{description}"\n'


def make(system: System, name: str, description: str) -> None:
    """Make a user, unless it is there. Raises SystemFailure."""
    path = _file(system, name)
    folder = path.parent
    if not folder.exists():  # ours alone could not be read by others
        folder.mkdir(mode=0o755, parents=True)
    system.write_file(path, text(name, description), 0o644)
    system.run("systemd-sysusers", f"--root={system.root}", str(path))


def remove(system: System, name: str) -> None:
    """Remove a user of ours, of which nothing runs any more. Raises SystemFailure."""
    if number(system, name) is not None:
        system.run("userdel", *(("--prefix", str(system.root)) if system.root != Path("/") else ()), name)
    system.remove_file(_file(system, name))


def _file(system: System, name: str) -> Path:
    return system.root / FOLDER / f"{name}.conf"
