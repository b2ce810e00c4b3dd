# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command in the documents is one that works: those of a controller are run here, the others have their place."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI

from ansible_collections.splitway.gateway.tests.documents import places
from ansible_collections.splitway.gateway.tests.documents.blocks import (
    ROOT,
    block_commands,
    blocks,
    is_yaml,
    pages,
)
from ansible_collections.splitway.gateway.tests.documents.places import Place
from ansible_collections.splitway.gateway.tests.lab.make_keys import make_keys
from ansible_collections.splitway.gateway.tests.unit.wg_easy.databases import write
from splitway.agent.cli import COMMANDS, argument_parser

COLLECTIONS = Path(__file__).parents[5]
HERE_ALONE = ("explain", "export", "import", "lists", "placement")
"""Playbooks that touch no host: they are run. Of the others Ansible reads the command and all that the playbook has."""
SHIMS = {
    # No host of the quick start is there; and -J would ask for a password, which is in a file here.
    "ansible-playbook": 'exec {program} "${{@/#-J/-v}}" --syntax-check',
    # The machine of these tests need not have wireguard-tools; a key that is no point's twin is a key to Ansible, too.
    "wg": "head --bytes 32 /dev/urandom | base64",
    "ssh": 'echo "$*" >>"$HOME/ssh.log"',
}
QUICK_STARTS = {
    "README.md": "A first real gateway in ten minutes",
    "docs/quick-start.md": "",
}
"""The pages that go through the quick start, with the section that does; translations have the same commands."""
PAGES = [page for page in pages() if any(True for _ in blocks(page))]


def test_every_command_has_its_place() -> None:
    """A new program needs a line in tests/documents/places.py; what is no command is a fence with ```text."""
    assert [str(command) for command in places.all_commands() if places.place(command) is None] == []


def test_what_is_not_run_is_still_there() -> None:
    texts = {command.text for command in places.all_commands()}
    assert [text for text in (*places.NOT_RUN, *places.ELSEWHERE) if text not in texts] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_is_no_command_is_yaml_or_says_what_it_is(page: str) -> None:
    for block in blocks(page):
        assert block.language in {"", "bash", "console", "csv", "html", "ini", "json", "text", "yaml"}, str(block)
        if block.language in {"", "bash", "console"} and not is_yaml(block):
            assert list(block_commands(block)), f"{block}: no command; fence it as ```text"


def test_each_target_of_make_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) | {
        target for line in re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE) for target in line.split()
    }
    for command in places.runnable(Place.MAKE):
        words = shlex.split(command)[1:]
        settings = dict(word.split("=", 1) for word in words if "=" in word)
        assert {word for word in words if "=" not in word} <= targets, command
        if "SCENARIO" in settings:
            assert (ROOT / "molecule" / settings["SCENARIO"] / "molecule.yml").exists(), command
        if "BENCH" in settings:
            assert (ROOT / "tests" / "bench" / f"{settings['BENCH']}.py").exists(), command


@pytest.mark.parametrize("text", [text for text in places.agents() if text not in places.MESSAGES])
def test_each_command_of_the_agent_is_one(text: str) -> None:
    """Those that a gateway of the lab does not run, too."""
    words = shlex.split(text.partition("|")[0])[1:]
    argument_parser(list(COMMANDS)).parse_args(words)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the inventories, the example's as `inventory`, and the keys that their vaults would have."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(ROOT / "inventories" / "example", folder / "inventory")
    shutil.copytree(ROOT / "inventories", folder / "inventories")
    for inventory in (folder / "inventory", *(folder / "inventories").iterdir()):
        written = "".join(path.read_text() for path in inventory.rglob("*.yml"))
        vault = {name: make_keys().get(name.rpartition("_")[2], "word") for name in re.findall(r"\bvault_\w+", written)}
        (inventory / "group_vars" / "all").mkdir(exist_ok=True)
        (inventory / "group_vars" / "all" / "vault.yml").write_text(yaml.safe_dump(vault))
    (folder / "secret").touch()
    (folder / "inventory" / ".wg-easy").mkdir()
    write(folder / "inventory" / ".wg-easy" / "home.db")
    return folder


def environment(home: Path, collections: Path) -> dict[str, str]:
    """Return the environment of somebody who has this home and these collections."""
    # Ansible looks for collections where Python looks for packages, too.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHONPATH"))}
    return kept | {
        "HOME": str(home),
        "PATH": f"{home}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "1",
        "EDITOR": "true",
        "SSH_KEY": str(home / "secret"),  # a file's name in GitLab, its text in GitHub
        "VAULT_PASSWORD": str(home / "secret"),
    }


def playbooks_of(text: str) -> list[str]:
    """Return the collection's playbooks that a command runs, by their short names."""
    return re.findall(r"\bsplitway\.gateway\.(\w+)", text) if text.startswith("ansible-playbook ") else []


def as_run(text: str) -> str:
    """Return a command as it can be run without the hosts of the documents, and without being asked anything.

    Ansible reads a playbook that needs hosts once for each inventory; the options have a test of their own.
    """
    if not text.startswith("ansible-playbook ") or set(playbooks_of(text)) <= set(HERE_ALONE):
        return text.replace(" -J", "")
    inventory = re.search(r"-i \S+", text)
    assert inventory, f"{text}: no inventory"
    names = " ".join(f"splitway.gateway.{name}" for name in playbooks_of(text))
    return f"ansible-playbook {inventory[0]} {names} --syntax-check"


@pytest.mark.parametrize("text", [text for text in places.runnable(Place.CONTROLLER) if playbooks_of(text)])
def test_each_option_of_a_playbook_is_one(text: str) -> None:
    arguments = shlex.split(text)
    command_line = PlaybookCLI(arguments)
    command_line.init_parser()
    command_line.parser.parse_args(arguments[1:])


@pytest.mark.parametrize("text", dict.fromkeys(as_run(text) for text in places.runnable(Place.CONTROLLER)))
def test_each_command_of_a_controller_works(text: str, workspace: Path) -> None:
    if "splitway_import_directory=out" in text:
        export = "ansible-playbook -i inventory splitway.gateway.export -e splitway_export_directory=out"
        run(export, workspace, environment(workspace, COLLECTIONS))
    run(text, workspace, environment(workspace, COLLECTIONS))


@cache
def known_words() -> frozenset[str]:
    """Return every word of playbooks, roles and modules."""
    paths = [path for folder in ("playbooks", "roles") for path in (ROOT / folder).rglob("*.yml")]
    paths += (ROOT / "plugins" / "modules").glob("*.py")
    return frozenset(word for path in paths for word in re.findall(r"\w+", path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("text", [text for text in places.runnable(Place.CONTROLLER) if " -e " in text])
def test_each_variable_of_a_command_is_one(text: str) -> None:
    for name in re.findall(r' -e "?(\w+)=', text):
        assert name in known_words(), f"{text}: nothing knows {name}"


def quick_start(page: str) -> str:
    """Return the commands of a page's quick start that are for the controller, as one script."""
    before, _, after = (ROOT / page).read_text().partition(f"\n## {QUICK_STARTS[page]}")
    first = before.count("\n") if QUICK_STARTS[page] else 0
    last = first + after.partition("\n## ")[0].count("\n") + 1 if QUICK_STARTS[page] else 10_000
    found = [command for block in blocks(page) if first < block.line <= last for command in block_commands(block)]
    here = (Place.CONTROLLER, Place.QUICK_START)
    return "\n".join(command.text for command in found if places.place(command) in here)


@pytest.fixture
def controller(tmp_path: Path) -> Path:
    """A home with a checkout, nothing of Ansible's, and programs that stand in for what asks for hosts."""
    shutil.copytree(
        ROOT, tmp_path / "checkout", ignore=shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "bench")
    )
    (tmp_path / "bin").mkdir()
    programs = Path(sys.executable).parent
    for name, text in SHIMS.items():
        shim = tmp_path / "bin" / name
        shim.write_text("#!/usr/bin/env bash\n" + text.format(program=programs / name) + "\n")
        shim.chmod(0o755)
    (tmp_path / "password").write_text("a password\n")
    return tmp_path


@pytest.mark.parametrize("page", QUICK_STARTS)
def test_a_quick_start_works_as_a_whole(page: str, controller: Path) -> None:
    """In a checkout, with the collection that it builds and installs, and all playbooks read by Ansible."""
    variables = environment(controller, controller / ".ansible" / "collections")
    script = quick_start(page)
    assert script.count("ansible-playbook") >= 5
    run(script, controller / "checkout", variables | {"ANSIBLE_VAULT_PASSWORD_FILE": str(controller / "password")})
    vault = controller / "vpn" / "inventory" / "group_vars" / "all" / "vault.yml"
    assert vault.read_text().startswith("$ANSIBLE_VAULT;")
    assert vault.stat().st_mode & 0o077 == 0
    assert "/etc/splitway/clients/phone.txt" in (controller / "ssh.log").read_text()
    installed = controller / ".ansible" / "collections" / "ansible_collections" / "splitway" / "gateway"
    assert (installed / "playbooks" / "site.yml").exists()


def test_keys_are_backed_up_and_brought_back(tmp_path: Path) -> None:
    """The two lines of docs/operating.md, with a folder in place of the host."""
    host = tmp_path / "host"
    (host / "keys").mkdir(parents=True)
    (host / "keys" / "wg0.key").write_text("a key\n")
    (tmp_path / "password").write_text("a password\n")
    variables = environment(tmp_path, COLLECTIONS) | {"ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "password")}
    out, back = (
        text.replace("ssh admin@vpn.example.com sudo ", "").replace("/etc/splitway", "host")
        for text in (places.KEYS_OUT, places.KEYS_BACK)
    )
    run(out, tmp_path, variables)
    assert "a key" not in (tmp_path / "home.vault").read_text()
    (host / "keys" / "wg0.key").unlink()
    run(back, tmp_path, variables)
    assert (host / "keys" / "wg0.key").read_text() == "a key\n"


def run(script: str, folder: Path, variables: dict[str, str]) -> str:
    """Return what a script of bash said; fails with it when one of its commands fails."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout
