# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin as `ansible-inventory` and a play see it."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.splitway.gateway.tests.unit import programs
from ansible_collections.splitway.gateway.tests.unit.topology.samples import key
from ansible_collections.splitway.gateway.tests.unit.wg_easy.databases import client, insert, write
from splitway.wg_easy import read_database

ALICE = client(1, "Alice's phone #work", expires_at="2026-12-31T00:00:00.000Z")


def source(folder: Path, **options: Any) -> Path:
    values = {"plugin": "splitway.gateway.wg_easy", "database": "wg-easy.db", "gateway": "home", **options}
    path = folder / "home.wg_easy.yml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def hosts(folder: Path) -> None:
    """Write an inventory whose gateway is this host."""
    home = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    inventory = {"splitway_gateways": {"hosts": {"home": home}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")


def run(program: str, inventory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return programs.run(inventory.parent, program, "-i", inventory.name, *words, **environment)


def test_a_gateway_gets_its_variables(tmp_path: Path) -> None:
    write(tmp_path / "wg-easy.db", ALICE, client(2, "bob", enabled=0))
    options = {"tags": {"work": "office"}, "default_policy": "family", "server": {"unknown_clients": "family"}}
    done = run("ansible-inventory", source(tmp_path, **options), "--list")
    found = json.loads(done.stdout)
    assert found["splitway_gateways"]["hosts"] == ["home"]
    variables = found["_meta"]["hostvars"]["home"]
    assert variables["splitway_server"]["adopt"] is True
    assert variables["splitway_server"]["unknown_clients"] == "family"
    alice, bob = variables["splitway_clients"]
    assert (alice["name"], alice["policy"], alice["expires"]) == ("Alice-s-phone", "office", "2026-12-31T00:00:00Z")
    assert (bob["name"], bob["policy"], bob["enabled"]) == ("bob", "family", False)
    assert not any(secret in done.stdout for secret in (key("wg-easy"), key("private 1"), key("shared 1")))
    assert "is called Alice-s-phone" in " ".join(done.stderr.split())


PROBLEMS = {
    "none": "wg-easy.db: is not there",
    "template": "the interface's host name holds a template",
    "slip": 'home.wg_easy.yml: polices: unknown key; did you mean "policies"?',
}


@pytest.mark.parametrize("broken", PROBLEMS)
def test_without_its_database_a_gateway_has_no_variables_that_a_run_could_take(tmp_path: Path, broken: str) -> None:
    if broken != "none":
        write(tmp_path / "wg-easy.db", ALICE, host="{{ lookup('pipe', 'touch ran') }}" if broken == "template" else "x")
    inventory = source(tmp_path, **({"polices": {}} if broken == "slip" else {}))
    done = run("ansible", inventory, "home", "-m", "splitway.gateway.splitway_compile")
    problem = PROBLEMS[broken]
    assert problem in " ".join(done.stderr.split())
    assert done.returncode != 0
    assert problem.replace('"', "'") in done.stdout.replace("\\", "")
    assert not (tmp_path / "ran").exists()
    strict = run("ansible-inventory", inventory, "--list", ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="true")
    assert strict.returncode != 0


def test_options_are_documented(tmp_path: Path) -> None:
    done = programs.run(tmp_path, "ansible-doc", "-t", "inventory", "-j", "splitway.gateway.wg_easy")
    assert done.returncode == 0, done.stderr
    options = json.loads(done.stdout)["splitway.gateway.wg_easy"]["doc"]["options"]
    assert {"database", "gateway", "mode", "tags", "policies", "default_policy", "accept_newer"} <= options.keys()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_database_comes_from_another_host_while_it_is_written(tmp_path: Path, journal: str) -> None:
    (tmp_path / "remote").mkdir()
    path = write(tmp_path / "remote/wg-easy.db", ALICE)
    hosts(tmp_path)
    source(tmp_path, database=".wg-easy/home.db")
    copy = [str(programs.PLAYBOOKS / "wg_easy_copy.yml"), "-e", f"splitway_wg_easy_database={path}", "-vvv"]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {journal}").fetchall()
        insert(other, "clients_table", client(2, "bob"))
        other.execute("BEGIN IMMEDIATE")
        insert(other, "clients_table", client(3, "carol"))
        done = [run("ansible-playbook", tmp_path / "hosts.yml", *copy, *words) for words in (["--check"], [], [])]
    assert [one.stdout.count("changed=1") for one in done] == [1, 1, 0], done[0].stdout + done[0].stderr
    assert key("private 1") not in "".join(one.stdout for one in done)
    brought = tmp_path / ".wg-easy/home.db"
    assert stat.S_IMODE(brought.stat().st_mode) == 0o600
    assert [found.name for found in read_database(brought.read_bytes()).clients] == ["Alice's phone #work", "bob"]


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    hosts(tmp_path)
    words = [str(programs.PLAYBOOKS / "wg_easy_copy.yml")]
    assert "-e splitway_wg_easy_database=PATH" in run("ansible-playbook", tmp_path / "hosts.yml", *words).stdout
    words += ["-e", f"splitway_wg_easy_database={tmp_path}/no.db"]
    assert f"{tmp_path}/no.db: is not there" in run("ansible-playbook", tmp_path / "hosts.yml", *words).stdout
    assert not (tmp_path / ".wg-easy").exists()
