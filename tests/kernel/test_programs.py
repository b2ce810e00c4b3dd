# SPDX-License-Identifier: GPL-3.0-or-later
"""The role that brings programs to a host, run against this one: what is fetched, kept, refused and removed."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import platform
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ansible_collections
from splitway.relay.delivery import delivery
from splitway.topology.model import ProgramSource

COLLECTIONS = Path(next(iter(ansible_collections.__path__))).parent
ROLE = "splitway.gateway.programs"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the library's word)
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path, _namespace: int) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL under which its files are."""
    folder = tmp_path / "web"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Host:
    """This host, with a folder of its own for programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"

    def run(self, *sources: ProgramSource, check: bool = False, fails: bool = False) -> str:
        """Bring programs as a playbook does; return what Ansible said."""
        wanted = [delivery(source, str(self.programs)) for source in sources]
        given = {"__splitway_programs": wanted, "__splitway_programs_folder": str(self.programs)}
        tasks = [
            {"ansible.builtin.import_role": {"name": ROLE}, "vars": given},
            {"ansible.builtin.import_role": {"name": ROLE, "tasks_from": "unused"}, "vars": given},
        ]
        play = self.folder / "play.json"
        play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
        done = subprocess.run(
            [
                "ansible-playbook",
                "-i",
                "localhost,",
                "-c",
                "local",
                *(("--check", "--diff") if check else ()),
                str(play),
            ],
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    def versions(self) -> list[str]:
        """Return the folders of programs."""
        return sorted(path.name for path in self.programs.iterdir()) if self.programs.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def program(path: Path, version: str = "wstunnel-cli 10.6.2") -> str:
    """Write a program that tells a version; return its checksum."""
    path.write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
    path.chmod(0o755)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def packed(folder: Path) -> str:
    """Write wstunnel.tar.gz as a release has it; return its checksum."""
    program(folder / "wstunnel")
    with tarfile.open(folder / "wstunnel.tar.gz", "w:gz") as archive:
        archive.add(folder / "wstunnel", "wstunnel")
        archive.add(__file__, "LICENSE")
    return hashlib.sha256((folder / "wstunnel.tar.gz").read_bytes()).hexdigest()


def test_a_release_is_fetched_once_and_goes_when_nothing_uses_it(host: Host, web: tuple[Path, str]) -> None:
    folder, url = web
    source = ProgramSource("wstunnel", url=f"{url}/wstunnel.tar.gz", checksum=packed(folder))
    place = Path(delivery(source, str(host.programs))["path"])
    assert "changed=1" in host.run(source, check=True)
    assert host.versions() == []
    host.run(source)
    assert subprocess.run([place, "--version"], capture_output=True, check=True).stdout == b"wstunnel-cli 10.6.2\n"
    assert [path.name for path in place.parent.iterdir()] == ["wstunnel"]
    (folder / "wstunnel.tar.gz").unlink()  # nothing is fetched again
    assert "changed=0" in host.run(source)
    assert "changed=0" in host.run(source, check=True)
    newer = ProgramSource("wstunnel", url=f"{url}/wstunnel", checksum=program(folder / "wstunnel", "wstunnel 11.0.0"))
    host.run(newer)
    assert host.versions() == [f"wstunnel-{newer.checksum[:12] if newer.checksum else ''}"]
    assert "changed=1" in host.run()
    assert host.versions() == []


def test_a_file_of_the_controller(host: Host) -> None:
    file = host.folder / "websocat"
    source = ProgramSource("websocat", source=str(file), checksum=program(file, "websocat 1.13.0"))
    assert "changed=2" in host.run(source, check=True)
    host.run(source)
    assert "changed=0" in host.run(source)
    assert host.versions() == [f"websocat-{source.checksum[:12] if source.checksum else ''}"]


def test_what_is_refused(host: Host, web: tuple[Path, str]) -> None:
    folder, url = web
    other = ProgramSource("wstunnel", url=f"{url}/wstunnel.tar.gz", checksum="ab" * 32)
    packed(folder)
    assert "did not match" in host.run(other, fails=True)
    assert not Path(delivery(other, str(host.programs))["path"]).exists()

    program(host.folder / "old", "wstunnel 9.2.0")
    said = host.run(ProgramSource("wstunnel", path=str(host.folder / "old")), fails=True)
    assert "old is wstunnel 9.2.0, which has no --websocket-ping-frequency" in said
    assert "give splitway_programs.wstunnel a version from 10.1.9 on" in said

    said = host.run(ProgramSource("wstunnel", path=str(host.folder / "none")), fails=True)
    assert f"localhost has no program at {host.folder / 'none'} (splitway_programs.wstunnel.path)" in said

    (host.folder / "other").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    (host.folder / "other").chmod(0o755)
    said = host.run(ProgramSource("wstunnel", path=str(host.folder / "other")), fails=True)
    assert "other does not tell its version" in said

    said = host.run(ProgramSource("wstunnel", "10.6.1"), fails=True)
    assert f"wstunnel for {platform.machine()} has no known checksum" in said
    assert "splitway_programs.wstunnel.checksum" in said
