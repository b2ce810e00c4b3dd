# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's file: what is in it after a restart, when it is damaged, when it is full."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from splitway.agent.names.journal import Journal, Pair
from splitway.system import SystemFailure

PAIRS = [Pair(f"198.51.100.{i}", f"n{i}.example", 1000 + i, 5000, ("sw4d1", "sw4d2")) for i in range(50)]


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "lib" / "journal.db"
    journal = Journal(path)
    journal.write(PAIRS, 0)
    journal.keep({("sw4d1", "192.0.2.1"): 70, ("sw4d1", "192.0.2.2"): 80}, [])
    journal.keep({("sw4d1", "192.0.2.1"): 75}, [("sw4d1", "192.0.2.2")])
    again = Journal(path)  # the first was never closed: a killed agent
    assert sorted(again.pairs(), key=lambda pair: pair.last) == PAIRS
    assert again.find([PAIRS[3].key, ("198.51.100.3", "other.example")]) == {PAIRS[3].key: PAIRS[3]}
    assert again.kept() == {("sw4d1", "192.0.2.1"): 75}
    assert again.notices == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_old_pairs_are_forgotten_and_the_oldest_of_too_many(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", limit=20)
    journal.write(PAIRS[:15], 0)
    journal.write([], 1005)
    assert {pair.last for pair in journal.pairs()} == set(range(1005, 1015))
    journal.write(PAIRS[10:40], 1005)
    assert {pair.last for pair in journal.pairs()} == set(range(1020, 1040))
    assert {pair.last for pair in Journal(tmp_path / "journal.db", limit=20).pairs()} == set(range(1020, 1040))


def test_more_pairs_than_are_in_memory_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    pairs = [Pair(f"10.0.{i >> 8}.{i & 255}", name, 1) for i in range(3000) for name in ("a.example", "b.example")]
    journal.write(pairs, 0)
    assert sorted(pair.key for pair in journal.pairs()) == sorted(pair.key for pair in pairs)


def filled(path: Path, pairs: int = 2000) -> None:
    journal = Journal(path)
    journal.write([Pair(f"10.0.{i >> 8}.{i & 255}", f"n{i}.example", 1, 2, ("sw4d1",)) for i in range(pairs)], 0)
    journal.close()


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_file_is_moved_aside(tmp_path: Path, seed: int) -> None:
    """Whatever was done to it, the journal goes on; what is read is what was written, or the loss is reported."""
    rnd = random.Random(seed)
    path = tmp_path / "journal.db"
    filled(path)
    data = bytearray(path.read_bytes())
    start = rnd.choice((0, 20, 100, rnd.randrange(len(data))))
    if seed % 3 == 0:
        del data[rnd.randrange(len(data)) :]
    else:
        data[start : start + 4000] = rnd.randbytes(min(4000, len(data) - start))
    path.write_bytes(bytes(data))
    journal = Journal(path)
    journal.note("new.example", ("192.0.2.1",), 10)
    rows = [Pair(*key, last) for key, last in journal.take().items()]
    journal.write(rows, 0)
    found = list(journal.pairs())
    assert rows[0] in found
    if path.with_name("journal.db.damaged").exists():
        assert found == rows
        assert len(journal.notices) == 1
        assert "damaged" in journal.notices[0]
    else:
        assert len(found) == 2001 or len(data) == 0
    assert rows[0] in Journal(path).pairs()


def test_damaged_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path, pairs=20_000)  # more than SQLite keeps in memory
    journal = Journal(path)
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(size - 4096))
    assert list(journal.pairs()) == []
    assert "moved to" in journal.notices[0]
    journal.write(PAIRS, 0)
    assert len(list(Journal(path).pairs())) == len(PAIRS)


def test_what_is_no_database_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("not a database " * 100, encoding="ascii")
    assert "damaged" in Journal(path).notices[0]
    filled(path)
    subprocess.run(["python3", "-c", _FORGET_VERSION, str(path)], check=True)
    assert "damaged" in Journal(path).notices[0]


_FORGET_VERSION = """
import sqlite3, sys
sqlite3.connect(sys.argv[1]).execute("PRAGMA user_version = 0")"""


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    """Retention goes on in memory, and the loss is reported."""
    (tmp_path / "file").write_text("", encoding="ascii")
    journal = Journal(tmp_path / "file" / "journal.db")
    assert "in memory only" in journal.notices[0]
    journal.write(PAIRS, 0)
    assert len(list(journal.pairs())) == len(PAIRS)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounts a small file system")
def test_a_full_disk_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(tmp_path)], check=True)
    try:
        journal = Journal(tmp_path / "journal.db")
        journal.write(PAIRS, 0)
        many = [Pair(f"10.0.{i >> 8}.{i & 255}", f"n{i}.example", 1) for i in range(3000)]
        with pytest.raises(SystemFailure, match=r"journal\.db"):
            journal.write(many, 0)
        assert sorted(journal.pairs(), key=lambda pair: pair.last) == PAIRS
        assert journal.notices == []
        journal.close()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_noted_answers_wait_for_a_disk_that_takes_them(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.note("a.example", ("192.0.2.1", "192.0.2.2"), 10.9)
    taken = journal.take()
    assert taken == {("192.0.2.1", "a.example"): 10, ("192.0.2.2", "a.example"): 10}
    journal.note("a.example", ("192.0.2.2",), 20)
    journal.give_back(taken)
    assert journal.take() == {("192.0.2.1", "a.example"): 10, ("192.0.2.2", "a.example"): 20}
    assert journal.take() == {}
