# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback that tells programs what a run has come to, with real runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import SECTIONS
from ansible_collections.splitway.gateway.plugins.plugin_utils import summaries
from ansible_collections.splitway.gateway.plugins.plugin_utils.summaries import HostSummary
from ansible_collections.splitway.gateway.tests.unit import programs

SECRET = "swordfish"
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
TASKS = [
    {"name": "Change", "command": "true"},
    {
        "block": [
            {
                "name": "Fail for gw2",
                "fail": {"msg": f"no {SECRET}"},
                "no_log": True,
                "when": "inventory_hostname == 'gw2'",
            },
            {"name": "Fail for gw3", "fail": {"msg": "port 53 is taken"}, "when": "inventory_hostname == 'gw3'"},
        ],
        "rescue": [{"name": "Say so", "debug": {"msg": "well"}, "failed_when": "inventory_hostname == 'gw3'"}],
    },
]


def run(folder: Path, *words: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    """Run a playbook over four hosts, one of which is away; return what the callback wrote, too."""
    hosts: dict[str, Any] = {f"gw{number}": HERE for number in (1, 2, 3)}
    hosts["away"] = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    (folder / "play.yml").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "tasks": TASKS}]), encoding="utf-8"
    )
    environment = {"ANSIBLE_CALLBACKS_ENABLED": "splitway.gateway.summary", **environment}
    done = programs.run(folder, "ansible-playbook", "-i", "hosts.json", "play.yml", *words, **environment)
    written = folder / "summary.json"
    return done, json.loads(written.read_text(encoding="utf-8")) if written.exists() else None


def test_a_run_tells_of_each_host_and_no_secret(tmp_path: Path) -> None:
    done, found = run(tmp_path, "-e", "splitway_summary=summary.json")
    assert found is not None, done.stdout + done.stderr
    assert found["playbook"] == "play.yml"
    assert found["ok"] is False
    assert found["counts"] == {
        "hosts": 4,
        "changed": 3,
        "failed": 1,
        "unreachable": 1,
        "rolled_back": 0,
        "unconfirmed": 0,
    }
    hosts = found["hosts"]
    assert (hosts["gw1"]["changed"], hosts["gw1"]["failures"]) == (1, [])
    assert hosts["gw2"]["failed"] is False  # it was rescued
    assert [failure["task"] for failure in hosts["gw2"]["failures"]] == ["Fail for gw2"]
    assert hosts["gw3"]["failed"] is True
    assert hosts["gw3"]["failures"][0] == {"task": "Fail for gw3", "message": "port 53 is taken"}
    assert hosts["away"]["unreachable"]
    assert SECRET not in json.dumps(found)
    assert hosts["gw1"]["seconds"] > 0


def test_it_goes_to_the_output_where_that_is_wanted(tmp_path: Path) -> None:
    done, _ = run(tmp_path, "--limit", "gw1", SPLITWAY_SUMMARY="-")
    [line] = [line for line in done.stdout.splitlines() if line.startswith('{"playbook"')]
    assert json.loads(line)["ok"] is True


def test_without_being_enabled_it_writes_nothing(tmp_path: Path) -> None:
    _, found = run(tmp_path, "--limit", "gw1", "-e", "splitway_summary=summary.json", ANSIBLE_CALLBACKS_ENABLED="")
    assert found is None


def test_changes_are_counted_by_section() -> None:
    assert set(summaries.SECTIONS.values()) == set(SECTIONS)
    host = HostSummary()
    host.ok("policy_route", "", {"changed": True, "changes": ["add rule 5000", "add rule 5010", "remove rule 1"]})
    host.ok("split_ipset", "", {"changed": False, "changes": []})
    found = summaries.summary("site.yml", {"gw": host}, frozenset(), ("", ""), 1.0)["hosts"]["gw"]
    assert found["changes"] == {"routes": {"add": 2, "remove": 1}}


def test_who_was_not_confirmed_or_rolled_back_is_told() -> None:
    host = HostSummary()
    host.ok("splitway_transaction", "commit", {"changed": True, "unconfirmed": True})
    assert (host.unconfirmed, host.rolled_back) == (True, False)
    host.ok("splitway_transaction", "rollback", {"changed": True})
    assert (host.unconfirmed, host.rolled_back) == (False, True)
    host = HostSummary()
    host.ok("splitway_transaction", "commit", {"changed": True, "unconfirmed": True})
    host.ok("splitway_transaction", "confirm", {"changed": False})
    assert (host.unconfirmed, host.rolled_back) == (False, False)


def test_what_a_host_says_can_be_written() -> None:
    host = HostSummary()
    host.failed("Look", {"msg": "half a letter: \ud83d"})
    assert host.failures[0]["message"].encode() == b"half a letter: ?"
