# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients were answered, on disk: (name, address) and when it was answered last.

It outlives the kernel's sets, so that a set which was emptied, made anew or lost in a reboot gets back what it owes
its clients. Times are whole seconds since the epoch. Nothing but answers to listed names is in it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ...system import System, SystemFailure

LIMIT = 500_000  # pairs; the oldest go first. About 50 MB.
_WAITING = 100_000  # pairs that may wait in memory while the disk does not take them
_CHUNK = 2000  # rows that are in memory at once
_VERSION = 1
_TABLES = """
CREATE TABLE answered (
    address TEXT NOT NULL, name TEXT NOT NULL, last INTEGER NOT NULL, held INTEGER NOT NULL, sets TEXT NOT NULL,
    PRIMARY KEY (address, name)) WITHOUT ROWID;
CREATE INDEX answered_last ON answered (last);
CREATE TABLE kept (
    kernel_set TEXT NOT NULL, address TEXT NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (kernel_set, address)) WITHOUT ROWID;
"""

T = TypeVar("T")
Key = tuple[str, str]
"""(address, name)"""


@dataclass(frozen=True)
class Pair:
    """An address that a name was answered with."""

    address: str
    name: str
    last: int  # when it was answered last, at most one granularity (learned.py) too early
    held: int = 0  # until when the kernel's entry lives at least; 0: not known
    sets: tuple[str, ...] = ()  # the sets that it was put into

    @property
    def key(self) -> Key:
        return self.address, self.name


def location(system: System) -> Path:
    """Return the file of a gateway's journal."""
    return system.data / "journal.db"


class Journal:
    """The journal's file. Every method may raise SystemFailure when the disk does not take or give something.

    A file that is damaged is moved aside and a new one begun; `notices` then has a line that says so.
    """

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path = path
        self.limit = limit
        self.notices: list[str] = []  # for the log; whoever reads them empties the list
        self.lost = 0  # pairs that were too many: for the file, or for those that wait while the disk takes nothing
        self._answered: dict[Key, int] = {}
        self._lock = threading.Lock()  # answers are noted in the loop, and written in a worker
        self._database = self._open()
        self._count = self._do(lambda database: int(database.execute("SELECT count(*) FROM answered").fetchone()[0]))

    def note(self, name: str, addresses: Iterable[str], now: float) -> None:
        """Note an answer, in memory."""
        with self._lock:
            for address in addresses:
                if len(self._answered) < _WAITING:
                    self._answered[address, name] = int(now)
                else:
                    self.lost += 1

    def take(self) -> dict[Key, int]:
        """Return what was noted since the last call."""
        with self._lock:
            taken, self._answered = self._answered, {}
        return taken

    def give_back(self, taken: dict[Key, int]) -> None:
        """Let what was taken wait for the next call, since it could not be written."""
        with self._lock:
            self._answered = {**taken, **self._answered}

    def find(self, keys: Iterable[Key]) -> dict[Key, Pair]:
        """Return those of the pairs that are in the journal."""
        query = "SELECT * FROM answered WHERE address = ? AND name = ?"
        return self._do(
            lambda database: {key: _pair(row) for key in keys for row in database.execute(query, key).fetchall()}
        )

    def pairs(self) -> Iterator[Pair]:
        """Yield all pairs, ordered by address; a few are in memory at a time."""
        query = f"SELECT * FROM answered WHERE (address, name) > (?, ?) ORDER BY address, name LIMIT {_CHUNK}"  # noqa: S608
        after: Key = ("", "")
        while True:
            rows = self._do(lambda database, after=after: database.execute(query, after).fetchall())  # type: ignore[misc]
            yield from map(_pair, rows)
            if len(rows) < _CHUNK:
                return
            after = (rows[-1][0], rows[-1][1])

    def write(self, pairs: Iterable[Pair], before: float) -> None:
        """Write pairs, forget those that were last answered before a time, and the oldest of too many."""
        rows = [(pair.address, pair.name, pair.last, pair.held, " ".join(pair.sets)) for pair in pairs]

        def write(database: sqlite3.Connection) -> int:
            with database:
                gone = database.execute("DELETE FROM answered WHERE last < ?", (int(before),)).rowcount
                known = sum(len(database.execute(_KNOWN, row[:2]).fetchall()) for row in rows)
                database.executemany("INSERT OR REPLACE INTO answered VALUES (?, ?, ?, ?, ?)", rows)
                surplus = self._count - gone + len(rows) - known - self.limit
                if surplus > 0:
                    database.execute(_OLDEST, (surplus,))
                    self.lost += surplus
            return gone + known + max(0, surplus)

        if rows or self._do(lambda database: database.execute(_ANY_OLDER, (int(before),)).fetchone()):
            less = self._do(write)
            self._count += len(rows) - less

    def kept(self) -> dict[Key, int]:
        """Return (set, address) → until when it lives, of the addresses whose name nobody knows."""
        rows = self._do(lambda database: database.execute("SELECT * FROM kept").fetchall())
        return {(row[0], row[1]): row[2] for row in rows}

    def keep(self, changed: dict[Key, int], gone: Iterable[Key]) -> None:
        """Change what `kept` returns."""
        rows = [(*key, until) for key, until in changed.items()]
        keys = list(gone)

        def write(database: sqlite3.Connection) -> None:
            with database:
                database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", rows)
                database.executemany("DELETE FROM kept WHERE kernel_set = ? AND address = ?", keys)

        if rows or keys:
            self._do(write)

    def close(self) -> None:
        self._database.close()

    def _do(self, action: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return action(self._database)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # a full or read-only disk, a lock
                raise SystemFailure(f"{self.path}: {error}") from error
            if type(error) is not sqlite3.DatabaseError:
                raise
            self._database.close()
            self._move_aside(str(error))
            self._database, self._count = self._open(), 0
            return action(self._database)

    def _open(self) -> sqlite3.Connection:
        try:
            for folder in reversed(self.path.parents):
                folder.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            try:
                return _connect(str(self.path))
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                self._move_aside(str(error))
            return _connect(str(self.path))
        except (OSError, sqlite3.OperationalError) as error:
            # Retention goes on for as long as we run; only the next reboot will find nothing.
            self.notices.append(f"{self.path} cannot be used ({error}): the journal is in memory only")
            return _connect(":memory:")

    def _move_aside(self, reason: str) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged")
        for suffix in ("-wal", "-shm"):  # of a damaged file they would be replayed into the new one
            self.path.with_name(f"{self.path.name}{suffix}").unlink(missing_ok=True)
        if self.path.exists():
            self.path.replace(aside)
        self.notices.append(f"{self.path} was damaged ({reason}): moved to {aside}, a new one begun")


_KNOWN = "SELECT 1 FROM answered WHERE address = ? AND name = ?"
_ANY_OLDER = "SELECT 1 FROM answered WHERE last < ? LIMIT 1"
_OLDEST = """DELETE FROM answered WHERE (address, name) IN
    (SELECT address, name FROM answered ORDER BY last LIMIT ?)"""


def _pair(row: tuple[str, str, int, int, str]) -> Pair:
    return Pair(row[0], row[1], row[2], row[3], tuple(row[4].split()))


def _connect(path: str) -> sqlite3.Connection:
    """Return the open database. Raises sqlite3.DatabaseError when it is damaged or not ours."""
    database = sqlite3.connect(path, timeout=5, check_same_thread=False)
    try:
        database.execute("PRAGMA cache_size = -512")  # KiB
        database.execute("PRAGMA journal_mode = WAL")
        # On disk when it is written, every few seconds: a power cut takes no more than that.
        database.execute("PRAGMA synchronous = FULL")
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        if version == 0 and database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"its version is {version}, not {_VERSION}")
        problem = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
        if problem != "ok":
            raise sqlite3.DatabaseError(" ".join(problem.split()))
    except BaseException:
        database.close()
        raise
    return database
