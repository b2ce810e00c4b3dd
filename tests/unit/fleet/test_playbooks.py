# SPDX-License-Identifier: GPL-3.0-or-later
"""verify.yml and report.yml as CI runs them: a fleet of which a gateway is away, and one's inventory is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ansible_collections.splitway.gateway.tests.unit import programs
from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT

HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
AWAY = {"ansible_host": "127.0.0.1", "ansible_port": 1}
SECRET = RIGHT["splitway_clients"][1]["private_key"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the inventory."""
    hosts = {"away": AWAY, "never": HERE, "wrong": {**HERE, "splitway_retention": "for ever"}}
    inventory = {"splitway_gateways": {"hosts": hosts, "vars": RIGHT}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    return tmp_path


def play(folder: Path, name: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    words = [word for variable in variables.items() for word in ("-e", "splitway_{}={}".format(*variable))]
    playbook = str(programs.PLAYBOOKS / f"{name}.yml")
    return programs.run(folder, "ansible-playbook", "-i", "inventory.json", playbook, *options, *words)


def test_all_are_looked_at_before_it_fails_and_both_files_have_them_all(folder: Path) -> None:
    done = play(folder, "verify", verify_json="verify.json", verify_junit="verify.xml")
    assert done.returncode == 2, done.stdout + done.stderr
    found = json.loads((folder / "verify.json").read_text(encoding="utf-8"))
    assert {name: gateway["status"] for name, gateway in found["gateways"].items()} == {
        "away": "unreachable",
        "never": "different",
        "wrong": "failed",
    }
    assert "splitway_retention" in found["gateways"]["wrong"]["message"]
    suites = ElementTree.parse(folder / "verify.xml").getroot()  # noqa: S314 - our own
    errors = {suite.get("name"): suite.get("errors") for suite in suites}
    assert errors == {"away": "1", "never": "0", "wrong": "1"}
    assert SECRET not in done.stdout + done.stderr + json.dumps(found)


def test_the_report_has_them_all_and_none_of_them_fails_it(folder: Path) -> None:
    done = play(folder, "report", report_title="Ours&<theirs>")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (folder / "splitway-report.html").read_text(encoding="utf-8")
    data = re.search(r'id="data">(.*?)</script>', text)
    assert data is not None
    [rows] = [table["rows"] for table in json.loads(data[1])["tables"] if table["id"] == "gateways"]
    assert {row[0]: row[1][1] for row in rows} == {
        "away": "unreachable",
        "never": "site.yml has never run",
        "wrong": "site.yml has never run",
    }
    assert "<title>Ours&amp;&lt;theirs&gt;</title>" in text
    assert SECRET not in text


@pytest.mark.parametrize("written", ["2m", "-5", "99999"])
def test_a_time_to_confirm_that_is_none_stops_a_run_before_anything(folder: Path, written: str) -> None:
    """Taken for 0 it would mean that nobody goes back."""
    done = play(folder, "site", confirm_timeout=written)
    assert done.returncode != 0
    assert f'splitway_confirm_timeout: \\"{written}\\" is not a number of seconds (0-3600)' in done.stdout
    assert "Begin" not in done.stdout


@pytest.mark.parametrize("options", [(), ("--tags", "install")], ids=["a whole run", "a part of one"])
def test_a_host_that_cannot_be_a_gateway_fails_the_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    broken = {"ansible_connection": "local", "ansible_python_interpreter": "/nowhere/python3"}  # no module runs there
    inventory = {"splitway_gateways": {"hosts": {"gw": broken}, "vars": RIGHT}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    done = play(tmp_path, "site", *options)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "gw is as it was before. Look at the host: " in done.stdout
    assert "Begin]" not in done.stdout
