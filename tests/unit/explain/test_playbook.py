# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/explain.yml as an operator runs it: the inventory is all that it needs."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from pathlib import Path

import ansible_collections
from ansible_collections.splitway.gateway.tests.unit.explain.test_explain import FIELD

GATEWAY = Path(__file__).parents[3]
COLLECTIONS = Path(next(iter(ansible_collections.__path__))).parent


def test_the_playbook_explains_each_gateway_and_touches_none(tmp_path: Path) -> None:
    variables = copy.deepcopy({**FIELD, "ansible_host": "192.0.2.1"})  # nobody answers there
    without = {"splitway_clients": [client for client in FIELD["splitway_clients"] if client["name"] != "alice"]}
    inventory = {"splitway_gateways": {"hosts": {"gw": {}, "other": without}, "vars": variables}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    words = ["-e", "client=alice", "-e", "to=WWW.GoogleAPIs.com", "-e", "to_port=443", "-e", "to_proto=tcp"]
    done = subprocess.run(
        [
            "ansible-playbook",
            "-i",
            str(tmp_path / "inventory.json"),
            str(GATEWAY / "playbooks" / "explain.yml"),
            *words,
        ],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "googleapis.com, tcp port 443" in done.stdout, done.stdout + done.stderr
    assert "list google → us: decides (learned for googleapis.com, set sw4d" in done.stdout
    assert "list video → eu: hidden by it" in done.stdout
    assert '"msg": "\\"alice\\" is no client of this gateway: it has bob"' in done.stdout
