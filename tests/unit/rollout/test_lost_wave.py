# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout.yml over gateways that are lost before the first step of their run: the report says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit import programs
from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT

LOST = '''
DOCUMENTATION = """
name: lost
short_description: This host, on which these modules run and no other; at the first other one it is lost
description: It stays lost.
options: {}
extends_documentation_fragment: [connection_pipelining]
"""

import os
import re

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    transport = "lost"
    has_pipelining = False  # which would hide the modules' names

    def exec_command(self, cmd, *arguments, **options):
        self._look(cmd)
        return super().exec_command(cmd, *arguments, **options)

    def put_file(self, in_path, out_path):
        self._look(out_path)
        super().put_file(in_path, out_path)

    def _look(self, words):
        for name in re.findall(r"AnsiballZ_([a-z_]+)", words):
            if name not in os.environ["RUNS"].split():
                open(os.environ["GONE"], "w").close()
        if os.path.exists(os.environ["GONE"]):
            raise AnsibleConnectionFailure("no route to host")
'''


def roll_out(folder: Path, runs: str, **wrong: Any) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Roll out to two gateways on which only these modules run; return what it said, and its report."""
    (folder / "connections").mkdir()
    (folder / "connections" / "lost.py").write_text(LOST, encoding="utf-8")
    here = {"ansible_connection": "lost", "ansible_python_interpreter": sys.executable}
    clients = wrong.pop("clients", [])  # of b: whoever is a's, too, is refused
    inventory = {
        "splitway_gateways": {
            "hosts": {"a": here, "b": {**here, "splitway_clients": clients}},
            "vars": {**RIGHT, **wrong},
        }
    }
    (folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    report = folder / "rollout.json"
    report.write_text('{"result": "done"}', encoding="utf-8")  # of the rollout before
    done = programs.run(
        folder,
        *("ansible-playbook", "-i", "inventory.json", str(programs.PLAYBOOKS / "rollout.yml")),
        *("-e", f"splitway_rollout_report={report}"),
        ANSIBLE_CONNECTION_PLUGINS=str(folder / "connections"),
        RUNS=runs,
        GONE=str(folder / "gone"),
    )
    return done, json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        ("splitway_info", "the controller does not reach it: "),
        ("splitway_info splitway_gate", "Refuse a host that cannot be a gateway: "),
    ],
    ids=["at the look before the change", "after it"],
)
def test_a_wave_that_is_wholly_lost_has_failed(tmp_path: Path, runs: str, why: str) -> None:
    done, report = roll_out(tmp_path, runs)
    assert done.returncode != 0
    assert "Begin]" not in done.stdout
    assert (report["result"], report["wave"]) == ("stopped", 1), done.stdout + done.stderr
    assert report["gateways"]["a"]["state"] == "untouched"
    assert why in report["gateways"]["a"]["why"]
    assert report["gateways"]["b"] == {"wave": 2, "state": "untouched", "why": ""}
    assert "stopped at wave 1 of 2" in done.stdout


def test_a_rollout_that_does_not_begin_leaves_a_report_that_says_why(tmp_path: Path) -> None:
    done, report = roll_out(tmp_path, "")
    assert done.returncode != 0
    assert "a, b: not reachable. Nothing was changed anywhere." in done.stdout
    assert report["result"] == "refused"
    assert report["gateways"]["b"] == {"wave": None, "state": "untouched", "why": "not reachable"}


def test_so_does_one_with_a_mistake_in_the_variables_of_all(tmp_path: Path) -> None:
    done, report = roll_out(tmp_path, "splitway_info", splitway_retention="for ever")
    assert done.returncode != 0
    assert "a, b: failed already, see above. Nothing was changed anywhere." in done.stdout
    assert report["result"] == "refused"
    assert report["gateways"]["a"]["why"].startswith('splitway_retention: "for ever" is not')


def test_nor_is_one_under_way_that_stops_before_its_first_wave(tmp_path: Path) -> None:
    done, report = roll_out(tmp_path, "splitway_info", clients=RIGHT["splitway_clients"])
    assert done.returncode != 0
    assert "has the key of a: splitway_clients[0]" in done.stdout
    assert report["result"] == "planned"
    assert report["gateways"]["a"] == {"wave": 1, "state": "untouched", "why": ""}
