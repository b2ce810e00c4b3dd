# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/export.yml and import.yml as an operator runs them: an inventory and files, and no host."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from ansible_collections.splitway.gateway.tests.unit import programs
from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT, key
from ansible_collections.splitway.gateway.tests.unit.wg_easy.databases import client, write

VARIABLES = f"""\
# The family's gateway.
splitway_server: {{addresses: [10.8.0.1/24]}}  # this comment stays
alice_key: {key("alice")}

splitway_policies:
  family: {{default: direct}}
splitway_clients:
  # this one stays only while no client changes
  - name: alice
    addresses: [10.8.0.2]
    private_key: "{{{{ alice_key }}}}"
    policy: family
  - {{name: bob, addresses: [10.8.0.3], preshared_key: {key("bob shared")}}}

# The end.
splitway_retention: 12h
"""


class Controller:
    """An inventory with one gateway at which nobody answers."""

    def __init__(self, folder: Path, variables: str = VARIABLES) -> None:
        self.folder = folder
        self.variables = folder / "group_vars" / "splitway_gateways.yml"
        self.variables.parent.mkdir()
        self.variables.write_text(variables, encoding="utf-8")
        self.gateways("gw")

    def gateways(self, *names: str) -> None:
        hosts = {name: {"ansible_host": "192.0.2.1"} for name in names}
        inventory = json.dumps({"splitway_gateways": {"hosts": hosts}})
        (self.folder / "hosts.yml").write_text(inventory, encoding="utf-8")

    def play(self, name: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        words = [word for variable in variables.items() for word in ("-e", "splitway_{}={}".format(*variable))]
        playbook = str(programs.PLAYBOOKS / f"{name}.yml")
        return programs.run(self.folder, "ansible-playbook", "-i", "hosts.yml", playbook, *options, *words)

    def bring(self, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Import into the file of variables."""
        destination = "group_vars/splitway_gateways.yml"
        return self.play(
            "import", *options, **{"import_directory": "out", "import_destination": destination, **variables}
        )

    def written(self) -> Any:
        return yaml.safe_load(self.variables.read_text(encoding="utf-8"))


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def changed(done: subprocess.CompletedProcess[str]) -> Optional[bool]:
    assert done.returncode == 0, done.stdout + done.stderr
    return "changed=1" in done.stdout


def test_a_topology_goes_to_another_inventory_and_comes_out_the_same(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one = Controller(tmp_path / "one", yaml.safe_dump(RIGHT))
    other = Controller(tmp_path / "other", yaml.safe_dump({"splitway_server": RIGHT["splitway_server"]}))
    assert changed(one.play("export", export_directory="out", export_secrets="true"))
    assert not changed(one.play("export", export_directory="out", export_secrets="true"))
    assert (one.folder / "out/gw/clients.csv").stat().st_mode & 0o777 == 0o600
    shutil.copytree(one.folder / "out", other.folder / "out")
    assert changed(other.bring())
    kinds = ("upstreams", "lists", "policies", "clients")
    assert {kind: other.written()[f"splitway_{kind}"] for kind in kinds} == {k: RIGHT[f"splitway_{k}"] for k in kinds}
    assert not changed(other.bring())


def test_an_export_has_no_keys_unless_asked_and_its_import_changes_nothing(controller: Controller) -> None:
    assert changed(controller.play("export", "--check", export_directory="out"))
    assert not (controller.folder / "out").exists()
    assert changed(controller.play("export", export_directory="out"))
    text = "".join(file.read_text(encoding="utf-8") for file in (controller.folder / "out/gw").iterdir())
    assert "alice" in text
    assert key("alice") not in text
    assert key("bob shared") not in text
    assert not changed(controller.bring())
    assert controller.variables.read_text(encoding="utf-8") == VARIABLES


def edited(controller: Controller, **cells: str) -> None:
    """Export, and let somebody edit alice's line in a spreadsheet."""
    assert changed(controller.play("export", export_directory="out"))
    path = controller.folder / "out/gw/clients.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    rows[0].update(cells)
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def test_what_changes_is_shown_and_written_and_all_else_stays(controller: Controller) -> None:
    edited(controller, addresses="10.8.0.7")
    looked = controller.bring("--check", "--diff")
    assert changed(looked)
    assert "10.8.0.7" in looked.stdout
    assert "clients: 2 taken; 1 changed: alice (addresses)" in looked.stdout
    assert key("bob shared") not in looked.stdout + looked.stderr
    assert controller.variables.read_text(encoding="utf-8") == VARIABLES
    controller.variables.chmod(0o640)
    assert changed(controller.bring())
    text = controller.variables.read_text(encoding="utf-8")
    alice, bob = controller.written()["splitway_clients"]
    assert (alice["addresses"], alice["private_key"]) == (["10.8.0.7"], "{{ alice_key }}")
    assert bob["preshared_key"] == key("bob shared")
    assert text.startswith(VARIABLES.partition("splitway_clients")[0])
    assert text.endswith("\n# The end.\nsplitway_retention: 12h\n")
    assert controller.variables.stat().st_mode & 0o777 == 0o640
    [backup] = controller.variables.parent.glob("*~")
    assert backup.read_text(encoding="utf-8") == VARIABLES


def test_a_wrong_line_is_named_and_nothing_is_written_or_the_rest(controller: Controller) -> None:
    edited(controller, addresses="10.8.0.999", policy="familly")
    (controller.folder / "out/gw/lists.csv").write_text("name,domain\nsites,goo gle.com\nsites,a.example\n")
    refused = controller.bring()
    assert refused.returncode != 0
    for line in (
        r"clients.csv:2: addresses[0]: \"10.8.0.999\" is not an address",
        r"clients.csv:2: policy: \"familly\" is not a policy; did you mean \"family\"?",
        r"lists.csv:2: domain: \"goo gle.com\" is not a domain name",
        "refused, nothing is written",
    ):
        assert line in refused.stdout
    assert controller.variables.read_text(encoding="utf-8") == VARIABLES
    assert changed(controller.bring(import_partial="true"))
    written = controller.written()
    assert written["splitway_clients"] == yaml.safe_load(VARIABLES)["splitway_clients"], "alice is as she was"
    assert "a.example" in written["splitway_lists"]["sites"]["domains"]


def test_keys_that_would_be_lost_and_files_that_would_not_be_read_end_the_import(controller: Controller) -> None:
    assert changed(controller.play("export", export_directory="out"))
    lost = controller.play("import", import_directory="out")
    assert "clients.csv:2: private_key: the inventory has one" in lost.stdout
    beside = controller.bring(import_destination="group_vars/splitway_gateways/new.yml")
    assert "Ansible reads only one of" in beside.stdout
    assert not (controller.variables.parent / "splitway_gateways").exists()
    controller.gateways("gw", "other")
    assert "several gateways cannot write one file" in controller.bring().stdout
    several = controller.bring(import_destination="host_vars/{{ inventory_hostname }}.yml")
    assert several.stdout.count("private_key: the inventory has one") >= 2


def test_wg_easy_becomes_a_gateway(controller: Controller) -> None:
    controller.variables.write_text("{}\n", encoding="utf-8")
    client = {
        "id": "0e1e6a7c",
        "name": "Zoë's phone",
        "address": "10.8.0.2",
        "privateKey": key("phone"),
        "preSharedKey": key("phone shared"),
        "createdAt": "2024-01-01T00:00:00.000Z",
        "enabled": True,
    }
    broken = {**client, "name": "old", "address": "10.8.0.2", "privateKey": key("old"), "enabled": False}
    server = {"privateKey": key("server"), "publicKey": key("public"), "address": "10.8.0.1"}
    (controller.folder / "out").mkdir()
    (controller.folder / "out/wg0.json").write_text(
        json.dumps({"server": server, "clients": {"0e1e6a7c": client, "0f": broken}}, indent=2), encoding="utf-8"
    )
    done = controller.play("import", import_directory="out", import_format="wg-easy")
    assert changed(done)
    assert '"wg0.json:8: \\"Zoë\'s phone\\" is called \\"Zoe-s-phone\\""' in done.stdout
    written = yaml.safe_load((controller.folder / "host_vars/gw/splitway.yml").read_text(encoding="utf-8"))
    assert written["splitway_server"] == {"addresses": ["10.8.0.1/24"], "private_key": key("server")}
    phone, old = written["splitway_clients"]
    assert (phone["name"], phone["addresses"], phone["private_key"]) == ("Zoe-s-phone", ["10.8.0.2"], key("phone"))
    assert old["enabled"] is False


def test_files_of_wg_quick_and_a_database_that_is_in_use_are_imported(controller: Controller) -> None:
    controller.variables.write_text("{}\n", encoding="utf-8")
    write(controller.folder / "easy.db", client(1, "alice"))
    (controller.folder / "us.conf").write_text(
        f"[Interface]\nAddress = 10.64.0.2\nPostUp = touch {controller.folder}/ran\n"
        f"[Peer]\nPublicKey = {key('us')}\nEndpoint = us.example.com:1\n",
        encoding="utf-8",
    )
    with closing(sqlite3.connect(controller.folder / "easy.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert changed(controller.play("import", import_directory="easy.db", import_format="wg-easy"))
    quick = controller.play("import", import_directory=".", import_format="wg-quick")
    assert changed(quick)
    assert "us.conf:3: PostUp is a hook: it is not taken, and never run" in quick.stdout
    assert not (controller.folder / "ran").exists()
    written = yaml.safe_load((controller.folder / "host_vars/gw/splitway.yml").read_text(encoding="utf-8"))
    assert written["splitway_clients"][0]["private_key"] == key("private 1")
    assert [upstream["name"] for upstream in written["splitway_upstreams"]] == ["us"]
    assert not changed(controller.play("import", import_directory=".", import_format="wg-quick"))
