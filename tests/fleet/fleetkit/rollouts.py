# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the fleet's playbooks: to their end, or until the controller is killed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.hosts import FILES, ROOT
from labkit.playbooks import playbook

INVENTORY = ROOT / "tests" / "fleet" / "inventory"
REPORT = FILES / "rollout.json"
_editions = itertools.count(2)


@dataclass(frozen=True)
class Rollout:
    """A rollout that has ended."""

    status: int
    output: str
    report: dict[str, Any]

    def names(self, state: str) -> set[str]:
        """Returns the gateways in a state."""
        return {name for name, found in self.report["gateways"].items() if found["state"] == state}

    def why(self, name: str) -> str:
        """Returns what the report says of a gateway."""
        return str(self.report["gateways"][name]["why"])


def new_edition() -> int:
    """Returns an edition of the fleet's topology that no gateway has."""
    return next(_editions)


def roll_out(*arguments: str, **variables: Any) -> Rollout:
    """Runs rollout.yml with these variables over the inventory's."""
    REPORT.unlink(missing_ok=True)
    variables = {"splitway_rollout_report": str(REPORT), **variables}
    run = playbook("rollout.yml", "--forks", "6", *arguments, variables=variables, inventory=INVENTORY)
    report = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
    return Rollout(run.status, run.output, report)


@contextmanager
def controller(name: str, *arguments: str, **variables: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a playbook in a group of processes of its own, which is killed in the end."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(variables, file)
        file.flush()
        running = subprocess.Popen(
            ["ansible-playbook", "-i", INVENTORY, ROOT / "playbooks" / name, "-e", f"@{file.name}", *arguments],
            env={**os.environ, **_environment(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield running
        finally:
            kill(running)


def kill(running: subprocess.Popen[bytes]) -> None:
    """Kills a controller with all of its processes, as a loss of power would."""
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def _environment(root: Path) -> dict[str, str]:
    return {"ANSIBLE_CONFIG": str(root / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(root / ".cache/collections")}
