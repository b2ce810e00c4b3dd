# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CI and AWX use: the image's definition, what the collection asks of it, and the dynamic inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COLLECTIONS = Path(__file__).parents[5]
BIN = Path(sys.executable).parent


def output(*command: str, folder: Path = ROOT) -> str:
    """Return what a program of this Python's environment says; raises CalledProcessError when it fails."""
    variables = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True, text=True)
    return done.stdout


def test_the_image_has_the_collection_that_was_built(tmp_path: Path) -> None:
    """ansible-builder takes the definition; the collection's file is where the image's own steps look for it."""
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    built = f"splitway-gateway-{version}.tar.gz"
    (tmp_path / built).touch()
    (tmp_path / "execution-environment.yml").write_text((ROOT / "execution-environment.yml").read_text())
    output("ansible-builder", "create", "--output-filename", "Containerfile", folder=tmp_path)
    context = tmp_path / "context" / "_build"
    wanted = yaml.safe_load((context / "requirements.yml").read_text())["collections"][0]["name"]
    assert wanted == f"collection/{built}"
    assert (context / wanted).exists()
    assert "\nCOPY _build /build\nWORKDIR /build\n" in (tmp_path / "context" / "Containerfile").read_text()


def test_the_image_gets_what_the_collection_asks_for() -> None:
    found = yaml.safe_load(output("ansible-builder", "introspect", str(COLLECTIONS)))
    ours = {kind: [line.split()[0] for line in found[kind] if "splitway.gateway" in line] for kind in found}
    assert ours == {
        "python": ["cryptography>=38", "idna>=3"],
        "system": ["openssh-client", "openssh-clients", "qrencode"],
    }


@pytest.fixture(scope="module")
def dynamic() -> dict[str, Any]:
    """The dynamic inventory, as Ansible has it."""
    found: dict[str, Any] = json.loads(output("ansible-inventory", "-i", "inventories/dynamic", "--list"))
    return found


def test_machines_are_in_the_groups_that_their_labels_say(dynamic: dict[str, Any]) -> None:
    assert dynamic["splitway_gateways"]["hosts"] == ["fra-1", "sgp-1"]
    assert dynamic["splitway_exits"]["hosts"] == ["us"]


def test_a_gateway_has_its_address_and_region(dynamic: dict[str, Any]) -> None:
    host = dynamic["_meta"]["hostvars"]["sgp-1"]
    assert host["ansible_host"] == "192.0.2.21"
    assert host["splitway_placement"] == {"region": "asia"}


def test_its_clients_are_placed(tmp_path: Path) -> None:
    file = tmp_path / "placement.json"
    placement = ["ansible-playbook", "-i", "inventories/dynamic", "splitway.gateway.placement"]
    plan = output(*placement, "-e", f"splitway_placement_file={file}")
    assert "bob: sgp-1 (new)" in plan
    assert file.exists()
