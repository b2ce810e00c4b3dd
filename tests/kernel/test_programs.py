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

    def run(self, *sources: ProgramSource, check: bool = False) -> str:
        """Bring programs as a playbook does, and remove others; return what Ansible said."""
        given = self._given(*sources)
        return self._play(
            [
                {"ansible.builtin.import_role": {"name": ROLE}, "vars": given},
                {"ansible.builtin.import_role": {"name": ROLE, "tasks_from": "unused"}, "vars": given},
            ],
            *(("--check", "--diff") if check else ()),
        )

    def refuse(self, *sources: ProgramSource) -> list[str]:
        """Try to bring each program alone; return what the role said of each. One play: each costs seconds."""
        said = self.folder / "said"
        tasks = [
            {
                "block": [
                    {"ansible.builtin.include_role": {"name": ROLE}, "vars": self._given(source)},
                    {"ansible.builtin.meta": "end_play"},
                ],
                "rescue": [
                    {"ansible.builtin.copy": {"content": "{{ ansible_failed_result.msg }}", "dest": f"{said}{number}"}}
                ],
            }
            for number, source in enumerate(sources)
        ]
        self._play(tasks)
        return [" ".join(Path(f"{said}{number}").read_text(encoding="utf-8").split()) for number in range(len(sources))]

    def _given(self, *sources: ProgramSource) -> dict[str, Any]:
        wanted = [delivery(source, str(self.programs)) for source in sources]
        return {"__splitway_programs": wanted, "__splitway_programs_folder": str(self.programs)}

    def _play(self, tasks: list[dict[str, Any]], *options: str) -> str:
        play = self.folder / "play.json"
        play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
        done = subprocess.run(
            ["ansible-playbook", "-i", "localhost,", "-c", "local", *options, str(play)],
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join(done.stdout.split())

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


def test_programs_are_brought_once_and_go_when_nothing_uses_them(host: Host, web: tuple[Path, str]) -> None:
    folder, url = web
    file = host.folder / "websocat"
    fetched = ProgramSource("wstunnel", url=f"{url}/wstunnel.tar.gz", checksum=packed(folder))
    copied = ProgramSource("websocat", source=str(file), checksum=program(file, "websocat 1.13.0"))
    assert "changed=3" in host.run(fetched, copied, check=True)  # two folders and a copy
    assert host.versions() == []
    host.run(fetched, copied)
    place = Path(delivery(fetched, str(host.programs))["path"])
    assert subprocess.run([place, "--version"], capture_output=True, check=True).stdout == b"wstunnel-cli 10.6.2\n"
    assert [path.name for path in place.parent.iterdir()] == ["wstunnel"]
    (folder / "wstunnel.tar.gz").unlink()  # nothing is fetched again
    assert "changed=0" in host.run(fetched, copied)
    newer = ProgramSource("wstunnel", url=f"{url}/wstunnel", checksum=program(folder / "wstunnel", "wstunnel 11.0.0"))
    host.run(newer)
    assert host.versions() == [Path(delivery(newer)["path"]).parent.name]
    host.run()
    assert not host.programs.exists()


def test_what_is_refused(host: Host, web: tuple[Path, str]) -> None:
    folder, url = web
    packed(folder)
    program(host.folder / "old", "wstunnel 9.2.0")
    (host.folder / "foreign").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    (host.folder / "foreign").chmod(0o755)
    other = ProgramSource("wstunnel", url=f"{url}/wstunnel.tar.gz", checksum="ab" * 32)
    paths = (ProgramSource("wstunnel", path=str(host.folder / name)) for name in ("old", "none", "foreign"))
    changed, old, none, foreign, unknown = host.refuse(other, *paths, ProgramSource("wstunnel", "10.6.1"))
    assert "did not match" in changed
    assert not Path(delivery(other, str(host.programs))["path"]).exists()
    assert "old is wstunnel 9.2.0, which has no --websocket-ping-frequency" in old
    assert "give splitway_programs.wstunnel a version from 10.1.9 on" in old
    assert none == f"localhost has no program at {host.folder / 'none'} (splitway_programs.wstunnel.path)"
    assert "foreign does not tell its version" in foreign
    assert f"wstunnel for {platform.machine()} has no known checksum" in unknown
    assert "splitway_programs.wstunnel.checksum" in unknown
