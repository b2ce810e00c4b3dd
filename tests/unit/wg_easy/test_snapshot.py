# SPDX-License-Identifier: GPL-3.0-or-later
"""A database is read as of its last commit while another program has it open, and nothing is made beside it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ansible_collections.splitway.gateway.tests.unit.wg_easy.databases import client, insert, write
from splitway.wg_easy import DatabaseError, read_database, snapshot

JOURNALS = ("delete", "wal", "truncate", "persist")


def names(path: Path, wait: float = 0.3) -> list[str]:
    return [found.name for found in read_database(snapshot(path, wait)).clients]


@contextmanager
def writer(path: Path, journal: str = "delete") -> Iterator[sqlite3.Connection]:
    """The other program: it keeps its connection."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
        yield connection


@pytest.mark.parametrize("journal", JOURNALS)
@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE"])
def test_what_is_committed_is_read_while_somebody_writes(tmp_path: Path, journal: str, begin: str) -> None:
    path = write(tmp_path / "wg-easy.db", client(1, "alice"))
    with writer(path, journal) as other:
        insert(other, "clients_table", client(2, "bob"))
        other.execute(begin)
        insert(other, "clients_table", client(3, "carol"))
        before = sorted((entry.name, entry.stat().st_mtime_ns) for entry in tmp_path.iterdir())
        assert names(path) == ["alice", "bob"]
        assert sorted((entry.name, entry.stat().st_mtime_ns) for entry in tmp_path.iterdir()) == before
        other.execute("COMMIT")
        assert names(path) == ["alice", "bob", "carol"]


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_link_leads_to_the_logs_of_what_it_points_to(tmp_path: Path, journal: str) -> None:
    path, link = write(tmp_path / "wg-easy.db", client(1, "alice")), tmp_path / "inventory" / "home.db"
    link.parent.mkdir()
    link.symlink_to("../wg-easy.db")
    with writer(path, journal) as other:
        insert(other, "clients_table", client(2, "bob"))
        assert names(link) == ["alice", "bob"]


def test_pages_that_are_written_and_not_committed_are_rolled_back_in_the_copy_only(tmp_path: Path) -> None:
    path = write(tmp_path / "wg-easy.db", client(1, "alice"))
    with writer(path) as other:
        other.execute("PRAGMA cache_size = 1")
        other.execute("BEGIN")
        other.execute("UPDATE clients_table SET name = 'mallory'")
        for number in range(2, 200):
            insert(other, "clients_table", client(number, "x" * 3000))
        half = path.read_bytes()
        assert b"mallory" in half or len(half) > 200_000  # the cache was too small: SQLite wrote early
        # The program has died, and its lock with it: its log is there to be rolled back.
        copy = tmp_path / "copy" / "wg-easy.db"
        copy.parent.mkdir()
        for ending in ("", "-journal"):
            Path(f"{copy}{ending}").write_bytes(Path(f"{path}{ending}").read_bytes())
        other.execute("ROLLBACK")
    assert names(copy) == ["alice"]
    assert copy.read_bytes() == half


def test_an_exclusive_lock_is_waited_for_and_then_named(tmp_path: Path) -> None:
    path = write(tmp_path / "wg-easy.db", client(1, "alice"))
    program = "import sqlite3,sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE')"
    with other_program(f"{program}; print(flush=True); input()", path) as process:
        with pytest.raises(DatabaseError, match=rf"is locked by another program \(process {process}\)"):
            snapshot(path, 0.2)
        begin = time.monotonic()
        threading.Timer(0.3, lambda: os.kill(process, 15)).start()
        assert names(path, 120) == ["alice"]
        assert time.monotonic() - begin < 60


@contextmanager
def other_program(text: str, path: Path) -> Iterator[int]:
    """A program that has begun when it has written a line; locks of this process would be no one else's."""
    import subprocess
    import sys

    words = [sys.executable, "-c", text, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_each_snapshot_is_one_moment_of_a_busy_database(tmp_path: Path, journal: str) -> None:
    path = write(tmp_path / "wg-easy.db", client(1, "a"), client(2, "a"))
    over = threading.Event()

    def change(other: sqlite3.Connection) -> None:
        for number in range(100_000):
            if over.is_set():
                return
            other.execute("UPDATE clients_table SET name = ?", (f"n{number}" * 20,))  # both in one commit
            time.sleep(0.002)

    with writer(path, journal) as other:
        thread = threading.Thread(target=change, args=(other,))
        thread.start()
        try:
            for _ in range(20):
                assert len(set(names(path, 20))) == 1
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is not there"),
        (b"", "is empty"),
        (b'{"server": {}}' * 20, "is not a SQLite database"),
        (b"SQLite format 3\0" + b"\xff" * 4000, "is damaged: "),
    ],
    ids=["none", "empty", "json", "damaged"],
)
def test_what_is_no_database_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "wg-easy.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatabaseError, match=problem):
        snapshot(path, 0)
    assert list(tmp_path.iterdir()) == ([path] if content is not None else [])


def test_a_folder_and_a_database_that_is_cut_or_damaged_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path, problem in ((tmp_path, "is no file"), (tmp_path / "pipe", "is no file"), (tmp_path / "loop", "Too many")):
        with pytest.raises(DatabaseError, match=problem):
            snapshot(path, 0)
    path = write(tmp_path / "wg-easy.db", client(1, "alice"))
    whole = path.read_bytes()
    # SQLite's message quotes the second one's name, which is no UTF-8.
    for damaged in (whole[:-5000], whole.replace(b"tablehooks_table", b"tablehooks_t\xffble")):
        path.write_bytes(damaged)
        with pytest.raises(DatabaseError, match="is damaged"):
            snapshot(path, 0)
