# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of bundles: private, written once, and only what is ours is ever removed."""

from __future__ import annotations

import json
import stat
import subprocess
import zipfile
from pathlib import Path
from typing import Any, Optional

import pytest

from ansible_collections.splitway.gateway.tests.unit.client_bundle.samples import PRIVATE
from splitway.client_bundle import QR_CODE
from splitway.client_bundle.folder import Wanted, apply, plan, read
from splitway.client_files import ClientFileError
from splitway.reconcile.base import Change
from splitway.system import System, SystemFailure

ALICE = Wanted("alice", {"alice.conf": f"PrivateKey = {PRIVATE}\n", "start-here.html": f"<p>{QR_CODE}</p>"}, "drawn")
BOB = Wanted("bob", {"bob.conf": "bob's", "start-here.html": "no picture"})
PICTURE = '<svg width="1cm"></svg>'


class LocalSystem(System):
    """This host, with a qrencode that needs none."""

    def __init__(self, folder: Path, programs: tuple[str, ...] = ("qrencode",)) -> None:
        super().__init__(folder / "etc", folder / "run")
        self.programs = programs

    def has(self, program: str) -> bool:
        return program in self.programs

    def read(self, *argv: str, input: Optional[str] = None, timeout: float = 60) -> str:
        assert argv[0] == "qrencode"
        assert not [word for word in argv if PRIVATE in word]
        assert (input, timeout) == (ALICE.qr, 60)
        return f"<!-- made by (https://maker.example) -->\n{PICTURE}\n"


class ReadOnlySystem(LocalSystem):
    """Raises on whatever changes the host."""

    def write_file(self, path: Path, *_: Any) -> None:
        raise AssertionError(path)

    def remove_file(self, path: Path) -> None:
        raise AssertionError(path)


def run(system: System, folder: Path, *wanted: Wanted, purge: bool = True) -> tuple[Change, ...]:
    current = read(system, folder / "bundles", wanted)
    changes = plan(wanted, current, purge=purge)
    apply(system, current, changes)
    return changes


def said(changes: tuple[Change, ...]) -> list[str]:
    return [f"{change.action} {change.what}" for change in changes]


def files(folder: Path) -> set[str]:
    root = folder / "bundles"
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.name[0] != "."}


ALICES = {"alice/alice.conf", "alice/qr-code.svg", "alice/start-here.html", "alice.zip"}
BOBS = {"bob/bob.conf", "bob/start-here.html", "bob.zip"}


def test_files_are_private_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    assert said(run(LocalSystem(tmp_path), tmp_path, ALICE, BOB)) == ["add alice.zip", "add bob.zip"]
    assert files(tmp_path) == ALICES | BOBS
    for path in (tmp_path / "bundles").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / "bundles").stat().st_mode) == 0o700
    assert run(ReadOnlySystem(tmp_path), tmp_path, ALICE, BOB) == ()


def test_the_archive_holds_what_the_folder_holds(tmp_path: Path) -> None:
    run(LocalSystem(tmp_path), tmp_path, ALICE)
    with zipfile.ZipFile(tmp_path / "bundles" / "alice.zip") as archive:
        assert {*archive.namelist(), "alice.zip"} == ALICES
        for entry in archive.infolist():
            assert archive.read(entry) == (tmp_path / "bundles" / entry.filename).read_bytes()
            assert stat.S_IMODE(entry.external_attr >> 16) == 0o600
    assert (tmp_path / "bundles" / "alice" / "start-here.html").read_text() == f"<p>{PICTURE}</p>"


def test_what_changed_is_written_anew_and_what_it_no_longer_has_goes(tmp_path: Path) -> None:
    both = Wanted("bob", {**BOB.texts, "websocket.sh": "relay"})
    run(LocalSystem(tmp_path), tmp_path, ALICE, both)
    assert said(run(LocalSystem(tmp_path), tmp_path, ALICE, BOB)) == ["change bob.zip"]
    assert files(tmp_path) == ALICES | BOBS


def test_removed_clients_bundles_go_and_strangers_stay(tmp_path: Path) -> None:
    run(LocalSystem(tmp_path), tmp_path, ALICE, BOB)
    (tmp_path / "bundles" / "notes.txt").write_text("mine")
    assert run(LocalSystem(tmp_path), tmp_path, ALICE, purge=False) == ()
    assert said(run(LocalSystem(tmp_path), tmp_path, ALICE)) == ["remove bob.zip"]
    assert files(tmp_path) == ALICES | {"notes.txt"}
    assert not (tmp_path / "bundles" / "bob").exists()
    (tmp_path / "bundles" / "alice" / "own.txt").write_text("mine")
    run(LocalSystem(tmp_path), tmp_path)
    assert files(tmp_path) == {"alice/own.txt", "notes.txt"}


def test_one_clients_run_leaves_the_others(tmp_path: Path) -> None:
    run(LocalSystem(tmp_path), tmp_path, ALICE)
    run(LocalSystem(tmp_path), tmp_path, BOB, purge=False)
    assert files(tmp_path) == ALICES | BOBS
    assert run(ReadOnlySystem(tmp_path), tmp_path, ALICE, BOB) == ()


@pytest.mark.parametrize("strange", ["bob/bob.conf", "bob.zip"])
def test_a_strangers_file_is_not_overwritten(tmp_path: Path, strange: str) -> None:
    (tmp_path / "bundles" / "bob").mkdir(parents=True)
    (tmp_path / "bundles" / strange).write_text("mine")
    with pytest.raises(ClientFileError, match=r"bob\S* was not written by splitway"):
        run(LocalSystem(tmp_path), tmp_path, ALICE, BOB)
    assert files(tmp_path) == {strange}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("changed by hand"),
        lambda path: path.unlink(),
        lambda path: path.chmod(0o644),
    ],
)
@pytest.mark.parametrize("file", sorted(ALICES))
def test_drift_is_repaired(tmp_path: Path, file: str, spoil: Any) -> None:
    run(LocalSystem(tmp_path), tmp_path, ALICE, BOB)
    spoil(tmp_path / "bundles" / file)
    assert said(run(LocalSystem(tmp_path), tmp_path, ALICE, BOB)) == ["change alice.zip"]
    assert run(ReadOnlySystem(tmp_path), tmp_path, ALICE, BOB) == ()


def test_interrupted_in_between_is_finished_by_the_next_run(tmp_path: Path) -> None:
    class Breaking(LocalSystem):
        def write_file(self, path: Path, *rest: Any) -> None:
            if path.name == "bob.conf":
                raise SystemFailure("no space left")
            super().write_file(path, *rest)

    with pytest.raises(SystemFailure):
        run(Breaking(tmp_path), tmp_path, ALICE, BOB)
    run(LocalSystem(tmp_path), tmp_path, ALICE, BOB)
    assert files(tmp_path) == ALICES | BOBS
    assert run(ReadOnlySystem(tmp_path), tmp_path, ALICE, BOB) == ()


def test_interrupted_and_no_longer_wanted_is_removed(tmp_path: Path) -> None:
    class Breaking(LocalSystem):
        def write_file(self, path: Path, *rest: Any) -> None:
            if path.name == "start-here.html":
                raise SystemFailure("no space left")
            super().write_file(path, *rest)

    with pytest.raises(SystemFailure):
        run(Breaking(tmp_path), tmp_path, BOB)
    run(LocalSystem(tmp_path), tmp_path)
    assert files(tmp_path) == set()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/b/c", "a/../../x"])
def test_a_manifest_leads_nowhere_else(tmp_path: Path, path: str) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / ".splitway.json").write_text(json.dumps({"sources": {"a": ""}, "files": {path: ""}}))
    with pytest.raises(ClientFileError, match="damaged"):
        run(ReadOnlySystem(tmp_path), tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sources": [], "files": {}}', "{"])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / ".splitway.json").write_text(text)
    with pytest.raises(ClientFileError, match=r"\.splitway\.json is damaged"):
        run(ReadOnlySystem(tmp_path), tmp_path, BOB)


def test_two_clients_that_would_share_a_name(tmp_path: Path) -> None:
    with pytest.raises(ClientFileError, match=r'"bob": its archive .* "bob\.zip"'):
        run(ReadOnlySystem(tmp_path), tmp_path, BOB, Wanted("Bob.zip", BOB.texts))


def test_nothing_shows_a_key(tmp_path: Path) -> None:
    system = LocalSystem(tmp_path)
    changes = run(system, tmp_path, ALICE)
    shown = [(change.action, change.what, change.before, change.after) for change in changes]
    manifest = (tmp_path / "bundles" / ".splitway.json").read_text()
    assert PRIVATE not in f"{shown} {system.commands} {manifest}"


def test_git_sees_nothing_of_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    run(LocalSystem(tmp_path), tmp_path, ALICE)
    seen = subprocess.run(["git", "-C", str(tmp_path), "status", "--short"], capture_output=True, text=True, check=True)
    assert seen.stdout == ""


def test_without_qrencode_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ClientFileError, match="qrencode is not installed"):
        run(LocalSystem(tmp_path, ()), tmp_path, ALICE)
    assert not (tmp_path / "bundles").exists()
    run(LocalSystem(tmp_path, ()), tmp_path, BOB)
