# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as something that is shipped: which files it has, the digest that is its version, its archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath

PACKAGE = "splitway"
HERE = Path(__file__).parent

_DIGITS = 16  # of the digest: enough to tell versions apart, short enough for people
_LARGEST = 1 << 20  # bytes of one file


class EngineError(Exception):
    """An archive is not one of the engine's; the message says why."""


def version(folder: Path = HERE) -> str:
    """Return the version of the engine in a folder: a digest of its files' names and contents."""
    found = hashlib.sha256()
    for name in _names(folder):
        content = (folder / name).read_bytes()
        found.update(f"{name} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()[:_DIGITS]


def archive(folder: Path = HERE) -> bytes:
    """Return the engine as a tar.gz, the same bytes for the same files."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in _names(folder):
            content = (folder / name).read_bytes()
            entry = tarfile.TarInfo(f"{PACKAGE}/{name}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)


def contents(data: bytes) -> dict[str, bytes]:
    """Return path → content of an archive. Raises EngineError unless it holds the engine's files and nothing else."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            return {entry.name: _content(tar, entry) for entry in tar}
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise EngineError(f"it cannot be read: {error}") from error


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    path = PurePosixPath(entry.name)
    stream = tar.extractfile(entry) if entry.isfile() and entry.size <= _LARGEST else None
    if stream is None or path.parts[0] != PACKAGE or ".." in path.parts or path.suffix != ".py":
        raise EngineError(f"{entry.name} is no file of the engine")
    return stream.read()


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
