# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that our web server gives out: written as a whole, by one rename."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ...pac import MADE_BY, ProxyServer, pac_text, readable
from ...state import PacFile, Web
from ...system import System
from .text import Paths

_DIGITS = 16  # of the digest that is a version's name
SHOWN = 100  # lines of a difference that a Change shows


def texts(desired: Web) -> dict[str, str]:
    """Return file name → text, as they are published."""
    return {f"{file.name}.pac": _text(file) for file in desired.files}


def _text(file: PacFile) -> str:
    servers = [ProxyServer(server.kind, server.host, server.port.port) for server in file.servers]
    return pac_text(file.tables, servers, fail_open=file.fail_open)


def version(files: Mapping[str, str]) -> str:
    """Return the name of the folder that holds these files."""
    found = hashlib.sha256()
    for name, text in sorted(files.items()):
        found.update(f"{name} {len(text)}\n{text}".encode())
    return found.hexdigest()[:_DIGITS]


def published(system: System, where: Paths) -> dict[str, str]:
    """Return the files that are given out now."""
    return read_files(system, where.current, system.list_files(where.current))


def read_files(system: System, folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return name → text of the files of a folder that there are."""
    found = {name: system.read_file(folder / name) for name in names}
    return {name: text for name, text in found.items() if text is not None}


def publish(system: System, where: Paths, files: Mapping[str, str]) -> None:
    """Give these files out, and no others, from one moment to the next."""
    name = version(files)
    folder = where.published / name
    if read_files(system, folder, tuple(files)) != dict(files):
        system.remove_folder(folder)
        system.write_folder(folder, {key: text.encode() for key, text in files.items()})
    if system.read_link(where.current) != name:
        system.write_link(where.current, name)
    for other in system.list_files(where.published):
        if other not in (name, where.current.name):
            system.remove_folder(where.published / other)


def is_ours(text: str) -> bool:
    """Return whether a file was made by us."""
    return text.startswith(MADE_BY)


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, str]:
    """Return the lines that go and that come, for people: a name a line."""
    old, new = list(_lines(before)), list(_lines(after))
    gone, come = set(old), set(new)
    return _shown([line for line in old if line not in come]), _shown([line for line in new if line not in gone])


def _lines(files: Mapping[str, str]) -> Iterator[str]:
    for name, text in sorted(files.items()):
        yield from (f"{name}: {line}" for line in readable(text))


def _shown(lines: list[str]) -> str:
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(lines[:SHOWN] + more)
