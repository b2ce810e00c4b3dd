# SPDX-License-Identifier: GPL-3.0-or-later
"""A SQLite database that another program uses, as it was at one moment: nothing is locked, nothing is made beside it.

To open it where it is would do both: a reader takes a lock that a writer has to wait for, and in WAL mode SQLite
makes two files beside the database even for `mode=ro`, while `immutable=1` overlooks what is only in the log. So its
files are read into a copy, in which SQLite itself plays back or rolls back what was under way.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import struct
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Optional

from .errors import DatabaseError

BUSY = 5.0  # seconds that a lock, or a database that keeps changing, is waited for
_PAUSE = 0.05  # seconds
_LARGEST = 256 << 20  # bytes; 10,000 clients take 3 MB
_MAGIC = b"SQLite format 3\0"
_BESIDE = ("", "-wal", "-journal")  # the log of WAL mode, and that of the others
_COPY = "copy.db"

# Begin and length of SQLite's locks in a file (its "File Locking And Concurrency"): whoever writes the file itself
# holds PENDING, and then all of SHARED. RESERVED, between them, is of one who only prepares to write.
_PENDING, _SHARED = (0x40000000, 1), (0x40000002, 510)

_FLOCK = "hhqqi4x"  # struct flock: type, whence, begin, length, process

Files = tuple[Optional[bytes], ...]


def snapshot(path: Path, wait: float = BUSY) -> bytes:
    """Return the database as of its last commit, as the content of one file.

    wait: seconds. Raises DatabaseError if there is none, if it is locked, or if it cannot be read.
    """
    path = Path(os.path.realpath(path))  # SQLite, too, has its logs beside what a link points to
    until = time.monotonic() + wait
    while True:
        holder = _holder(path)
        files = None if holder else _at_one_moment(path)
        if files is not None:
            return _one_file(files)
        if time.monotonic() >= until:
            raise DatabaseError(
                f"is locked by another program ({holder}) for more than {wait:g} s: nothing was read"
                if holder
                else f"was being written for more than {wait:g} s: nothing was read"
            )
        time.sleep(_PAUSE)


def _at_one_moment(path: Path) -> Optional[Files]:
    """Return the contents of the database and its logs as they were together at one moment; None if they changed.

    All of them are read twice. What is the same in both was so at the moment between the two.
    """
    first = _contents(path)
    return first if _contents(path) == first else None


def _contents(path: Path) -> Files:
    return tuple(_content(Path(f"{path}{ending}")) for ending in _BESIDE)


def _content(path: Path) -> Optional[bytes]:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DatabaseError("is no file")
        if found.st_size > _LARGEST:
            raise DatabaseError(f"is larger than {_LARGEST >> 20} MB: this is not wg-easy's")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DatabaseError(f"cannot be read: {error.strerror}") from error


def _one_file(files: Files) -> bytes:
    """Return one file's content that says what the files say together."""
    _check(files[0])
    with tempfile.TemporaryDirectory(prefix="splitway-") as folder:
        copy = Path(folder) / _COPY
        for ending, content in zip(_BESIDE, files):
            if content:
                Path(f"{copy}{ending}").write_bytes(content)
        try:
            with closing(sqlite3.connect(copy)) as connection:
                connection.execute("PRAGMA synchronous = OFF")  # a copy that is lost is made anew
                connection.execute("PRAGMA journal_mode = DELETE").fetchall()  # takes in what is in a WAL
                problems = connection.execute("PRAGMA quick_check(1)").fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise DatabaseError(f"is damaged: {error}") from error
        if problems != [("ok",)]:
            raise DatabaseError(f"is damaged: {problems[0][0]}")
        return copy.read_bytes()


def _check(content: Optional[bytes]) -> None:
    if content is None:
        raise DatabaseError("is not there")
    if not content:
        raise DatabaseError("is empty")
    if not content.startswith(_MAGIC):
        raise DatabaseError("is not a SQLite database")


def _holder(path: Path) -> str:
    """Return who holds a lock that keeps readers away, "" for nobody. Asks, and takes no lock."""
    if sys.platform != "linux":
        return ""  # another system's struct flock; what is read is right all the same
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""  # said by whoever reads it
    try:
        return _writer(descriptor, *_PENDING) or _writer(descriptor, *_SHARED)
    except OSError:
        return ""  # a file system without locks
    finally:
        os.close(descriptor)


def _writer(descriptor: int, begin: int, length: int) -> str:
    asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, begin, length, 0)
    kind, _, _, _, process = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    if kind == fcntl.F_UNLCK:
        return ""
    return f"process {process}" if process > 0 else "of another host or container"
