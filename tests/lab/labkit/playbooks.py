# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the collection's playbooks on the lab, and the secrets that they must not tell."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labkit.hosts import INVENTORY, ROOT, LabError


@dataclass(frozen=True)
class Run:
    """One run of a playbook: status, everything that it said, and Ansible's count of changes on a host."""

    status: int
    output: str

    def changed(self, name: str = "gw") -> int:
        """Returns the number of changed tasks on a host, from the recap."""
        for line in reversed(self.output.splitlines()):
            if line.split(":")[0].strip() == name and "changed=" in line:
                return int(line.split("changed=")[1].split()[0])
        raise LabError(f"the run's recap does not name {name}:\n{self.output[-2000:]}")


def playbook(name: str, *arguments: str, variables: dict[str, Any] | None = None, inventory: Path = INVENTORY) -> Run:
    """Runs a playbook of the collection on the lab; extra variables override the inventory's."""
    command = ["ansible-playbook", "--inventory", str(inventory), str(ROOT / "playbooks" / name), *arguments]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        if variables:
            yaml.safe_dump(variables, file)
            file.flush()
            command += ["--extra-vars", f"@{file.name}"]
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
        }
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    return Run(done.returncode, done.stdout + done.stderr)


def playbook_succeeds(
    name: str, *arguments: str, variables: dict[str, Any] | None = None, inventory: Path = INVENTORY
) -> Run:
    """Runs a playbook; raises LabError with its output when it fails."""
    run = playbook(name, *arguments, variables=variables, inventory=inventory)
    if run.status != 0:
        raise LabError(f"{name} ended with status {run.status}:\n{run.output[-6000:]}")
    return run


def secrets() -> list[str]:
    """Returns every private and preshared key of the lab."""
    keys = yaml.safe_load((INVENTORY / "group_vars" / "all" / "keys.yml").read_text(encoding="utf-8"))["lab_keys"]
    return [pair[kind] for pair in keys.values() for kind in ("private", "preshared")]
