# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on the controller, found where operators expect them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..topology.errors import shown
from .errors import SourceError


def find(place: str, folders: Sequence[Path]) -> Path:
    """Return the file that a place names: an absolute path, or one below the first folder that has it.

    Raises SourceError, which tells where it was looked for.
    """
    path = Path(os.path.expanduser(place))
    tried = [path] if path.is_absolute() else [folder / path for folder in folders]
    for candidate in tried:
        if candidate.is_dir():
            raise SourceError(f"{candidate} is a folder; a source is one file")
        if candidate.exists():
            return candidate
    raise SourceError(f"there is no file {shown(place)}; it was looked for as {', '.join(map(str, tried))}")


def sibling(path: Path, name: str) -> Path:
    """Return the file that an `include:` means: beside the file, in any case, with its suffix or without.

    Raises SourceError when there is none.
    """
    for candidate in dict.fromkeys((name, name.lower(), f"{name}{path.suffix}", f"{name.lower()}{path.suffix}")):
        if (path.parent / candidate).is_file():
            return path.parent / candidate
    raise SourceError(f"there is no file {path.parent / name}")


def content(path: Path, largest: int) -> bytes:
    """Return a file's bytes. Raises SourceError when it cannot be read, or has more than `largest`."""
    try:
        with path.open("rb") as stream:
            found = stream.read(largest + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if len(found) > largest:
        raise SourceError(f"{path} has more than {largest >> 20} MB")
    return found
