# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/explain.yml as an operator runs it: the inventory is all that it needs."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.splitway.gateway.tests.unit import programs
from ansible_collections.splitway.gateway.tests.unit.explain.test_explain import FIELD


def fleet() -> dict[str, Any]:
    """Return the hosts: alice is on gw, and on `other` there is only bob. Nobody answers at their address."""
    others = [client for client in FIELD["splitway_clients"] if client["name"] != "alice"]
    return {"gw": {}, "other": {"splitway_clients": others}}


def explain(folder: Path, client: str, to: str = "WWW.GoogleAPIs.com") -> subprocess.CompletedProcess[str]:
    variables = copy.deepcopy({**FIELD, "ansible_host": "192.0.2.1"})
    inventory = {"splitway_gateways": {"hosts": fleet(), "vars": variables}}
    (folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    words = ["-e", f"client={client}", "-e", f"to={to}", "-e", "to_port=443", "-e", "to_proto=tcp"]
    playbook = str(programs.PLAYBOOKS / "explain.yml")
    return programs.run(folder, "ansible-playbook", "-i", "inventory.json", playbook, *words)


def test_the_gateway_that_has_the_client_answers_and_the_others_say_nothing(tmp_path: Path) -> None:
    done = explain(tmp_path, "alice")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "googleapis.com, tcp port 443" in done.stdout
    assert "list google → us: decides (learned for googleapis.com, set sw4d" in done.stdout
    assert "list video → eu: hidden by it" in done.stdout
    assert done.stdout.count('"msg"') == 1, done.stdout


def test_a_client_that_no_gateway_has_is_named(tmp_path: Path) -> None:
    done = explain(tmp_path, "alcie")
    assert done.returncode == 2, done.stdout + done.stderr
    said = done.stdout.replace('\\"', '"')
    assert 'none of these gateways has the client "alcie"' in said
    assert 'gw: "alcie" is no client of this gateway; did you mean alice?' in said
    assert 'other: "alcie" is no client of this gateway: it has bob' in said


def test_a_mistyped_destination_is_no_gateways_matter(tmp_path: Path) -> None:
    done = explain(tmp_path, "alice", to="goo..gle")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.count("ask for a name as in www.example.com") >= 2, done.stdout
    assert "has the client" not in done.stdout
