# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of PAC files in a folder of the operator's, for a web server of his own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...state import Web
from ...system import System
from ..base import ADD, CHANGE, REMOVE, Change, ReconcileError
from . import files
from .text import FIRST, REMEMBERED, addresses

Folders = Mapping[str, Mapping[str, str]]
"""Folder → name → text of what could be ours there."""


@dataclass(frozen=True)
class Copy:
    """Part of a Change: a copy is written; without a text it is removed."""

    path: Path
    text: Optional[str] = None


def read(system: System, desired: Optional[Web], configuration: Optional[str]) -> dict[str, dict[str, str]]:
    """Return what could be ours in the folder that is wanted, and in the one that our configuration remembers."""
    lines = (configuration or "").splitlines()
    folders = {line[len(REMEMBERED) :] for line in lines if line.startswith(REMEMBERED)}
    if desired is not None and desired.directory:
        folders.add(desired.directory)
    return {folder: _in_folder(system, Path(folder)) for folder in sorted(folders) if Path(folder).is_dir()}


def _in_folder(system: System, folder: Path) -> dict[str, str]:
    names = (name for name in system.list_files(folder) if name.endswith(".pac") or name in FIRST)
    return files.read_files(system, folder, names)


def plan(wanted: Optional[Web], folders: Folders) -> Iterator[Change]:
    """Yield the changes to copies. Raises ReconcileError when one cannot be where it is to be."""
    for folder, there in folders.items():
        own = _copies(wanted) if wanted is not None and folder == wanted.directory else {}
        for name, text in sorted(own.items()):
            old = there.get(name)
            if old is not None and not files.is_ours(old):
                raise ReconcileError(
                    f"splitway_web.directory: {folder}/{name} is somebody else's: remove it, or name another folder"
                )
            if old != text:
                before, after = files.difference({} if old is None else {name: old}, {name: text})
                action = ADD if old is None else CHANGE
                yield Change(action, f"file {folder}/{name}", before, after, Copy(Path(folder) / name, text))
        for name, text in sorted(there.items()):
            if name not in own and files.is_ours(text):
                yield Change(REMOVE, f"file {folder}/{name}", payload=Copy(Path(folder) / name))
    if wanted is not None and wanted.directory and wanted.directory not in folders:
        raise ReconcileError(f"splitway_web.directory: there is no folder {wanted.directory}: make it, or leave it out")


def _copies(desired: Web) -> dict[str, str]:
    """Return file name → text, each file under all of its names."""
    published = files.texts(desired)
    return {
        name: published[f"{file.name}.pac"]
        for index, file in enumerate(desired.files)
        for name in addresses(file.name, first=index == 0)
    }


def apply(system: System, part: Copy) -> None:
    """Write a copy, for all to read, or remove it."""
    if part.text is None:
        system.remove_file(part.path)
    else:
        system.write_file(part.path, part.text, 0o644)
