# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/keys.yml as an operator runs it: an inventory, a Vault password, and no host."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.splitway.gateway.plugins.plugin_utils.keys import file as keys_file
from ansible_collections.splitway.gateway.plugins.plugin_utils.keys.model import Keys, Sealed
from ansible_collections.splitway.gateway.tests.unit import programs
from ansible_collections.splitway.gateway.tests.unit.topology.samples import key
from splitway.topology import parse
from splitway.topology.exit_node import parse_exit
from splitway.topology.keys import public_key

PASSWORD = "open sesame"
GW: dict[str, Any] = {
    "splitway_server": {"addresses": ["10.8.0.1/24"], "endpoint": "vpn.example.com"},
    "splitway_upstreams": [
        {"name": "us", "endpoint": "192.0.2.9:51820", "public_key": key("us exit"), "private_key": key("us")},
        {"name": "eu", "endpoint": "192.0.2.8:51820", "public_key": key("eu exit"), "private_key": key("eu")},
    ],
    "splitway_clients": [
        {"name": "alice", "addresses": ["10.8.0.2"], "public_key": public_key(key("alice"))},
        {"name": "bob", "addresses": ["10.8.0.3"], "private_key": key("bob"), "preshared_key": key("bob shared")},
        {"name": "carol", "addresses": ["10.8.0.4"]},
    ],
}
EXIT = {
    "splitway_exit": {
        "addresses": ["10.64.0.1/24"],
        "gateways": [{"name": "gw", "public_key": public_key(key("us")), "addresses": ["10.64.0.2/32"]}],
    }
}


class Controller:
    """An inventory with a gateway and an exit at which nobody answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        inventory = {
            "splitway_gateways": {"hosts": {"gw": {"ansible_host": "192.0.2.1", "ansible_timeout": 1}}},
            "splitway_exits": {"hosts": {"far": {"ansible_host": "192.0.2.9"}}},
        }
        (folder / "hosts.yml").write_text(json.dumps(inventory), encoding="utf-8")
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        for host, variables in (("gw", GW), ("far", EXIT)):
            (folder / "host_vars" / host).mkdir(parents=True)
            text = "# the operator's own\n" + yaml.safe_dump(variables)
            (folder / "host_vars" / host / "main.yml").write_text(text, encoding="utf-8")
        self.path = folder / "host_vars" / "gw" / "splitway_keys.yml"

    def play(self, *words: str, vault: bool = True, **variables: Any) -> subprocess.CompletedProcess[str]:
        given = {"splitway_keys_ask_gateway": "false", **variables}
        return programs.run(
            self.folder,
            *("ansible-playbook", "-i", "hosts.yml", str(programs.PLAYBOOKS / "keys.yml"), *words),
            *(("--vault-password-file", "password") if vault else ()),
            *(word for name, value in given.items() for word in ("-e", json.dumps({name: value}))),
        )

    def kept(self, host: str = "gw") -> dict[str, dict[str, Keys]]:
        path = self.folder / "host_vars" / host / "splitway_keys.yml"
        return keys_file.read(path.read_text(), str(path))

    def variables(self, host: str = "gw") -> Any:
        """Return what a run of site.yml sees of the file, its secrets opened."""
        vault = VaultLib([("default", VaultSecret(PASSWORD.encode()))])

        class Loader(yaml.SafeLoader):
            pass

        def opened(loader: yaml.SafeLoader, node: yaml.Node) -> str:
            return vault.decrypt(loader.construct_scalar(node)).decode()  # type: ignore[arg-type]

        Loader.add_constructor("!vault", opened)
        return yaml.load((self.folder / "host_vars" / host / "splitway_keys.yml").read_text(), Loader)  # noqa: S506


def changed(done: subprocess.CompletedProcess[str]) -> bool:
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"gw +: .*changed=(\d+)", done.stdout)
    assert found is not None
    return found[1] != "0"


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def test_from_no_key_to_another(controller: Controller) -> None:
    assert changed(controller.play("--check", "--diff"))
    assert not controller.path.exists()
    assert changed(controller.play())
    assert set(controller.kept()["clients"]) == {"carol"}, "who has a key keeps it"
    carol = controller.variables()["splitway_keys"]["clients"]["carol"]
    assert public_key(carol["private_key"]) == carol["public_key"]
    assert controller.path.stat().st_mode & 0o777 == 0o600
    text = controller.path.read_text()
    assert carol["private_key"] not in text
    assert not changed(controller.play())
    assert controller.path.read_text() == text

    before = time.time()
    done = controller.play("--diff", "-vvv", rotate="alice, bob,carol", grace="2d")
    assert changed(done)
    found = controller.variables()
    again = found["splitway_keys"]["clients"]
    secrets = [entry[name] for entry in again.values() for name in ("private_key", "preshared_key")]
    for secret in (*secrets, key("bob"), key("bob shared"), carol["private_key"], carol["preshared_key"]):
        assert secret not in done.stdout + done.stderr
    topology = parse({**GW, **found})
    alice, bob, new_carol = topology.clients
    for client, old, shared in (
        (alice, public_key(key("alice")), None),
        (bob, public_key(key("bob")), key("bob shared")),
        (new_carol, carol["public_key"], carol["preshared_key"]),
    ):
        assert client.previous is not None
        assert (client.previous.public_key, client.previous.preshared_key) == (old, shared)
        assert client.public_key != old
        assert before + 2 * 86400 - 1 <= client.previous.until <= time.time() + 2 * 86400
    text = controller.path.read_text()
    assert not changed(controller.play(rotate="alice"))
    assert controller.path.read_text() == text, "a second run makes no third key"
    assert changed(controller.play(rotate="alice", again=True))
    third = parse({**GW, **controller.variables()}).clients[0]
    assert third.previous is not None
    assert third.previous.public_key == alice.public_key
    assert controller.kept()["clients"]["bob"] == keys_file.read(text, "")["clients"]["bob"], "not encrypted anew"
    assert (controller.folder / "host_vars" / "gw" / "main.yml").read_text().startswith("# the operator's own\n")


def test_a_tunnel_and_its_exit_get_a_key_together(controller: Controller) -> None:
    done = controller.play("--diff", rotate_upstreams="us,eu")
    assert changed(done)
    us, eu = parse({**GW, **controller.variables()}).upstreams
    assert us.private_key not in (None, key("us"))
    assert eu.private_key is not None
    gateways = parse_exit({**EXIT, **controller.variables("far")}).gateways
    assert [gateway.public_key for gateway in gateways] == [public_key(us.private_key or "")]
    said = done.stdout.replace("\\", "")
    assert f'to be told to the exit by you: {{"eu": "{public_key(eu.private_key)}"}}' in said
    assert "right before site.yml: far" in said
    far = controller.folder / "host_vars" / "far" / "splitway_keys.yml"
    far.unlink()  # as if the run before had been killed between the two files
    assert changed(controller.play(rotate_upstreams="us,eu"))
    assert parse_exit({**EXIT, **controller.variables("far")}).gateways == gateways
    assert controller.variables()["splitway_keys"]["upstreams"]["us"]["private_key"] == us.private_key
    assert not changed(controller.play(rotate_upstreams="us,eu"))


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"rotate": "alcie"}, "alcie: no client or upstream of these gateways has this name"),
        ({"grace": "soon"}, "is not a time"),
        ({"splitway_keys_store": "command"}, "which command keeps the secrets?"),
        ({"splitway_keys_store": "command", "splitway_keys_command": ["false"]}, "ended with 1"),
        ({"splitway_keys_vault_id": "other"}, "other"),
    ],
)
def test_what_keeps_keys_from_being_made(controller: Controller, variables: dict[str, Any], problem: str) -> None:
    done = controller.play(**variables)
    assert done.returncode != 0
    assert problem in " ".join(done.stdout.split())
    assert not controller.path.exists()


def test_without_a_vault_it_is_said_how(controller: Controller) -> None:
    for words in ((), ("--check",)):
        done = controller.play(*words, vault=False)
        assert done.returncode != 0
        assert "--ask-vault-pass" in "".join(done.stdout.split())
    assert changed(controller.play(vault=False, splitway_keys_store="plain"))
    assert parse({**GW, **controller.variables()}).clients[2].private_key is not None


def test_a_command_keeps_the_secrets(controller: Controller) -> None:
    script = controller.folder / "keep.py"
    script.write_text(
        "import sys\n"
        "kind, name, key = sys.argv[1:]\n"
        f"open({str(controller.folder)!r} + f'/{{name}}.{{key}}', 'w').write(sys.stdin.read())\n"
        "print('{{ lookup(\"file\", \"' + name + '.' + key + '\") }}')\n",
        encoding="utf-8",
    )
    assert changed(controller.play(splitway_keys_store="command", splitway_keys_command=[sys.executable, str(script)]))
    private = (controller.folder / "carol.private_key").read_text()
    carol = controller.kept()["clients"]["carol"]
    assert carol.public_key == public_key(private)
    assert carol.private_key == Sealed('{{ lookup("file", "carol.private_key") }}')
    assert private not in controller.path.read_text()


def test_a_file_that_ansible_would_not_read_any_more(controller: Controller) -> None:
    folder = controller.folder / "host_vars"
    (folder / "gw" / "main.yml").rename(folder / "gw.yml")
    (folder / "gw").rmdir()
    done = controller.play()
    assert done.returncode != 0
    assert "gw.yml would not be read any more" in done.stdout
    assert changed(controller.play(splitway_keys_file="keys/gw.yml"))
    assert (controller.folder / "keys" / "gw.yml").exists()


def test_a_file_with_something_else_in_it(controller: Controller) -> None:
    controller.path.write_text("splitway_retention: 12h\n", encoding="utf-8")
    done = controller.play()
    assert done.returncode != 0
    assert "has splitway_retention: the file is for splitway_keys alone" in " ".join(done.stdout.split())
    assert controller.path.read_text() == "splitway_retention: 12h\n"


def test_a_gateway_that_cannot_be_asked(controller: Controller) -> None:
    done = controller.play(splitway_keys_ask_gateway=True)
    assert done.returncode != 0
    assert not controller.path.exists()
