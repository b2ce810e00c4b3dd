# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/placement.yml and the lookup that goes with it, as an operator runs them: an inventory, and no host."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.splitway.gateway.tests.unit import programs
from ansible_collections.splitway.gateway.tests.unit.topology.samples import key
from splitway.topology.keys import public_key

GATEWAY = Path(__file__).parents[3]
PASSWORD = "not a secret"


class Controller:
    """A copy of inventories/fleet: the folder is the inventory, as README has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "inventory"
        self.file = self.inventory / "placement.json"
        shutil.copytree(GATEWAY / "inventories" / "fleet", self.inventory)
        vault = {
            "vault_us_public": public_key(key("us")),
            "vault_us_private": key("us"),
            "vault_frank_public": public_key(key("frank")),
            **{f"vault_{name}_private": key(name) for name in ("fra_1", "fra_2", "sgp_1", "sgp_2")},
        }
        (self.inventory / "group_vars" / "all.yml").write_text(yaml.safe_dump(vault), encoding="utf-8")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return programs.run(
            self.folder,
            *(*command[:1], "-i", "inventory", *command[1:]),
            ANSIBLE_CALLBACKS_ENABLED="splitway.gateway.summary",
            SPLITWAY_SUMMARY="summary.json",
        )

    def play(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("ansible-playbook", str(programs.PLAYBOOKS / f"{name}.yml"), *options)

    def place(self, *options: str) -> str:
        done = self.play("placement", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "WARNING" not in done.stderr
        return done.stdout

    def refused(self, name: str, *options: str) -> str:
        done = self.play(name, *options)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        return (done.stdout + done.stderr).replace('\\"', '"')

    def clients(self) -> dict[str, list[dict[str, Any]]]:
        """Return what splitway_clients of each gateway is, to a task."""
        (self.folder / "clients").mkdir()
        copy = {"content": "{{ splitway_clients }}", "dest": f"{self.folder}/clients/{{{{ inventory_hostname }}}}"}
        task = {"ansible.builtin.copy": copy, "delegate_to": "localhost", "vars": {"ansible_become": False}}
        play = {"hosts": "splitway_gateways", "gather_facts": False, "tasks": [task]}
        (self.folder / "clients.yml").write_text(json.dumps([play]), encoding="utf-8")
        (self.folder / "password").write_text(PASSWORD, encoding="utf-8")
        done = self.run("ansible-playbook", "clients.yml", "--vault-password-file", "password")
        assert done.returncode == 0, done.stdout + done.stderr
        return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in (self.folder / "clients").iterdir()}

    def change(self, name: str, old: str, new: str) -> None:
        path = self.inventory / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


FLEET = "group_vars/splitway_gateways.yml"


def test_a_fleet_of_two_inventories_has_one_file(controller: Controller) -> None:
    server = {"splitway_server": {"addresses": ["10.99.0.1/24"]}}
    other = controller.folder / "other"
    shutil.copytree(controller.inventory / "group_vars", other / "group_vars")
    hosts = {"splitway_gateways": {"hosts": {"zrh-1": server}}}
    (other / "hosts.yml").write_text(yaml.safe_dump(hosts), encoding="utf-8")
    said = controller.refused("placement", "-i", "other", "--limit", "zrh-1")
    files = f"{controller.file} (fra-1), {other}/placement.json (zrh-1)"
    assert f"splitway_placement_file: is another file for each inventory, write a whole path: {files}" in said
    assert not list(controller.folder.rglob("placement.json"))
    controller.place("-i", "other", "-e", f"splitway_placement_file={controller.folder}/placement.json")
    assert (controller.folder / "placement.json").exists()


def test_the_example_is_placed_once_and_a_drained_gateway_is_left(controller: Controller) -> None:
    looked = controller.place("--check", "--diff")
    assert '"6 clients: 0 stay as they are, 6 new"' in looked
    assert '+"erin": [{"gateway": "sgp-1"' in looked
    assert not controller.file.exists()
    assert "changed=1" in controller.place()
    written = controller.file.read_text(encoding="utf-8")
    assert "changed=0" in controller.place("--limit", "fra-2")  # the fleet is all of it
    exported = controller.play("export", "-e", "splitway_export_directory=out")  # refuses a wrong topology
    assert exported.stdout.count("failed=0") == 4, exported.stdout + exported.stderr
    controller.change("hosts.yml", "drain: false", "drain: true")
    looked = controller.place("--check", "--diff")
    assert '"carol: sgp-2 → sgp-1 (drained)"' in looked
    assert '"new files for 1 client that was there before: carol (sgp-1)"' in looked
    assert controller.file.read_text(encoding="utf-8") == written
    told = json.loads((controller.folder / "summary.json").read_text(encoding="utf-8"))["placement"]
    assert (told["clients"], told["moves"], told["counts"]["sgp-2"]) == (6, ["carol"], {"before": 1, "after": 0})
    assert told["changes"] == [
        {
            "client": "carol",
            "before": ["sgp-2"],
            "after": ["sgp-1"],
            "why": "drained",
            "moves": True,
            "new_files": ["sgp-1"],
        }
    ]
    listed = controller.run("ansible-inventory", "--graph")
    assert (listed.returncode, listed.stderr) == (0, "")  # a file that is no inventory would be warned of


def test_each_gateway_has_its_clients_with_all_that_is_written_of_them(controller: Controller) -> None:
    secret = subprocess.run(
        ["ansible-vault", "encrypt_string", "--vault-password-file", "/dev/stdin", key("alice")],
        input=PASSWORD,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    block = secret.replace("!vault |", "!vault |\n").splitlines()
    alice = "\n".join(
        ["  - name: alice", "    gateway: fra-2", '    policy: "{{ my_policy }}"', "    private_key: !vault |"]
        + [f"      {line.strip()}" for line in block if line.strip() and "!vault" not in line]
    )
    controller.change(FLEET, "  - {name: alice}                         # anywhere", alice)
    controller.change(FLEET, "placed_clients') }}", "placed_clients') + my_own | default([]) }}")
    with (controller.inventory / "host_vars" / "fra-2.yml").open("a", encoding="utf-8") as stream:
        stream.write("my_policy: family\nmy_own: [{name: own, addresses: [10.82.0.2]}]\n")
    controller.place("--diff")
    found = controller.clients()
    assert found["fra-2"] == [
        {
            "name": "alice",
            "policy": "family",
            "private_key": key("alice"),
            "addresses": ["10.82.0.3", "fd3c:9e1a:77b2:2::2"],  # 10.82.0.2 is the gateway's own client's
        },
        {"name": "dave", "addresses": ["10.82.0.4", "fd3c:9e1a:77b2:2::3"], "priority": 2},
        {"name": "own", "addresses": ["10.82.0.2"]},
    ]
    assert {"name": "dave", "addresses": ["10.81.0.3", "fd3c:9e1a:77b2:1::3"]} in found["fra-1"]
    assert key("alice") not in controller.file.read_text(encoding="utf-8")


def test_what_cannot_be_placed_is_named_and_the_file_stays(controller: Controller) -> None:
    controller.place()
    written = controller.file.read_text(encoding="utf-8")
    controller.change("host_vars/sgp-1.yml", "10.83.0.1/24", "10.83.0.1/31")
    controller.change(FLEET, "{name: bob, policy: abroad}", "{name: bob, gateway: sgp-1}")
    said = controller.refused("placement")
    assert "sgp-1 takes 1 client (its pool 10.83.0.0/31, fd3c:9e1a:77b2:3::/64), 2 are pinned to it: bob, erin" in said
    controller.change(FLEET, "region: asia}", "region: africa}")
    controller.change("hosts.yml", "capacity: 100", "capacity: many")
    said = controller.refused("placement")
    assert 'splitway_fleet_clients[2].region: "africa" is not the region of a gateway' in said
    assert 'fra-2: splitway_placement.capacity: "many" is not a number of clients' in said
    assert controller.file.read_text(encoding="utf-8") == written


def test_site_yml_wants_the_file_as_the_inventory_is_and_nobody_twice(controller: Controller) -> None:
    assert f"{controller.file} is not there: run splitway.gateway.placement first" in controller.refused("site")
    controller.place()
    controller.change(FLEET, "gateway: sgp-1}", "gateway: fra-1}")
    said = controller.refused("site", "--limit", "sgp-2")
    assert 'run splitway.gateway.placement: "erin" is on sgp-1, its gateway is "fra-1"' in said
    assert "UNREACHABLE" not in said
    controller.place()
    with (controller.inventory / "host_vars" / "fra-2.yml").open("a", encoding="utf-8") as stream:
        stream.write(
            'splitway_clients: [{name: moe, addresses: [10.82.0.9], public_key: "{{ vault_frank_public }}"}]\n'
        )
    said = controller.refused("site", "--limit", "sgp-2")
    assert 'fra-2: splitway_clients[0] ("moe") has the key of splitway_fleet_clients[5] ("frank")' in said
    assert "UNREACHABLE" not in said
