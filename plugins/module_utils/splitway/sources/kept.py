# SPDX-License-Identifier: GPL-3.0-or-later
"""The last good copies of what was fetched: a file for each URL, replaced by one rename.

A file is a line of JSON (the URL, what the server said to know this version again, the content's digest) and the
content. Its time of modification is when the server was last asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from .errors import SourceError


@dataclass(frozen=True)
class Copy:
    """What a URL answered, and how its server knows that version again."""

    content: bytes
    etag: str = ""
    modified: str = ""  # Last-Modified, as the server writes it
    asked: float = 0  # seconds since the epoch

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def kept(folder: Path, url: str) -> Optional[Copy]:
    """Return the copy of a URL; None when there is none, or none that is whole."""
    try:
        with _file(folder, url).open("rb") as stream:
            asked = os.fstat(stream.fileno()).st_mtime
            about = json.loads(stream.readline())
            found = Copy(stream.read(), about["etag"], about["modified"], asked)
            return found if about["url"] == url and about["digest"] == found.digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(folder: Path, url: str, copy: Copy) -> None:
    """Put a copy in place of the one that is there; readers see one or the other. Raises SourceError."""
    about = {"url": url, "etag": copy.etag, "modified": copy.modified, "digest": copy.digest}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".new.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(json.dumps(about).encode() + b"\n" + copy.content)
                stream.flush()
                os.fsync(stream.fileno())
            os.utime(temporary, (copy.asked, copy.asked))
            os.rename(temporary, _file(folder, url))
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise SourceError(f"{folder} cannot keep a copy: {error.strerror}") from error


def confirm(folder: Path, url: str, asked: float) -> None:
    """Note that the server was asked and has nothing newer."""
    try:
        os.utime(_file(folder, url), (asked, asked))
    except OSError:
        pass  # another run has just replaced it, or the folder is not ours to write: it will be asked again


def _file(folder: Path, url: str) -> Path:
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.copy"
