# SPDX-License-Identifier: GPL-3.0-or-later
"""client_bundle.yml as an operator calls it: for all clients or for one, with a diff, and without a secret in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit import programs
from ansible_collections.splitway.gateway.tests.unit.topology.samples import key

PRIVATE, PATH, PASSWORD = key("alice"), "a-path-for-clients-only", "p @:/%&?' \" {{ word"
VARIABLES = {
    "splitway_server": {
        "addresses": ["10.8.0.1/24"],
        "endpoint": "127.0.0.1",
        "private_key": key("gateway"),
        "websocket": {"path": PATH, "certificate": "/etc/gateway.crt", "key": "/etc/gateway.key"},
    },
    "splitway_policies": {"family": {"default": "direct"}},
    "splitway_default_policy": "family",
    "splitway_proxies": [
        {
            "name": "family",
            "http": {"listen": ["10.8.0.1"]},
            "users": [{"name": "alice", "password": PASSWORD}],
            "policy": "family",
        }
    ],
    "splitway_client_bundle": {"passwords": True, "qr": False},
    "splitway_clients": [
        {"name": "alice", "addresses": ["10.8.0.2"], "private_key": PRIVATE},
        {"name": "bob", "addresses": ["10.8.0.3"], "private_key": key("bob")},
    ],
}


def inventory(folder: Path, variables: dict[str, Any]) -> Path:
    unsafe = json.dumps(variables).replace("{{", "{{ '{{' }}")
    host = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    path = folder / "hosts.json"
    path.write_text(json.dumps({"splitway_gateways": {"hosts": {"gw1": host}, "vars": json.loads(unsafe)}}))
    return path


def run(folder: Path, *options: str, playbook: str = "client_bundle.yml") -> subprocess.CompletedProcess[str]:
    return programs.run(
        folder,
        *("ansible-playbook", "-i", str(inventory(folder, VARIABLES)), str(programs.PLAYBOOKS / playbook)),
        *("--check", "--diff", "-vvv", *options),
    )


@pytest.mark.parametrize("playbook", ["client_bundle.yml", "client-bundle.yml"])
def test_all_bundles_are_named_and_no_secret_is(tmp_path: Path, playbook: str) -> None:
    done = run(tmp_path, playbook=playbook)
    assert done.returncode == 0, done.stdout
    assert "+alice/, alice.zip (new content)\n+bob/, bob.zip (new content)\n" in done.stdout
    shown = done.stdout + done.stderr
    assert not [secret for secret in (PRIVATE, PATH, "p @:/") if secret in shown]
    assert not (tmp_path / "client-bundles").exists()


def test_one_clients_bundle_is_made_alone(tmp_path: Path) -> None:
    done = run(tmp_path, "-e", "client=bob")
    assert "+bob/, bob.zip (new content)" in done.stdout
    assert "alice" not in done.stdout.partition("TASK [splitway.gateway.clients : Write the bundles]")[2]


def test_a_client_that_is_none_is_told_with_those_that_are(tmp_path: Path) -> None:
    done = run(tmp_path, "-e", "client=zed")
    assert done.returncode != 0
    assert "zed is none of the clients whose bundle can be made: alice, bob" in done.stdout
