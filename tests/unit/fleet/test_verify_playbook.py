# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/verify.yml as CI runs it: a fleet of which a gateway is away, and one's inventory is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import ansible_collections
from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT

GATEWAY = Path(__file__).parents[3]
COLLECTIONS = Path(next(iter(ansible_collections.__path__))).parent
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
AWAY = {"ansible_host": "127.0.0.1", "ansible_port": 1}


def test_all_are_looked_at_before_it_fails_and_both_files_have_them_all(tmp_path: Path) -> None:
    hosts = {"away": AWAY, "never": HERE, "wrong": {**HERE, "splitway_retention": "for ever"}}
    inventory = {"splitway_gateways": {"hosts": hosts, "vars": RIGHT}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    done = subprocess.run(
        [
            *("ansible-playbook", "-i", "inventory.json", str(GATEWAY / "playbooks" / "verify.yml")),
            *("-e", "splitway_verify_json=verify.json", "-e", "splitway_verify_junit=verify.xml"),
        ],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    found = json.loads((tmp_path / "verify.json").read_text(encoding="utf-8"))
    assert {name: gateway["status"] for name, gateway in found["gateways"].items()} == {
        "away": "unreachable",
        "never": "different",
        "wrong": "failed",
    }
    assert "splitway_retention" in found["gateways"]["wrong"]["message"]
    suites = ElementTree.parse(tmp_path / "verify.xml").getroot()  # noqa: S314 - our own
    errors = {suite.get("name"): suite.get("errors") for suite in suites}
    assert errors == {"away": "1", "never": "0", "wrong": "1"}
    assert RIGHT["splitway_clients"][1]["private_key"] not in done.stdout + done.stderr + json.dumps(found)
