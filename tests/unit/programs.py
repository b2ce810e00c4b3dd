# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's programs as an operator runs them, with this checkout as the collection."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import ansible_collections

COLLECTIONS = Path(next(iter(ansible_collections.__path__))).parent
PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, with these variables of its environment; return what it said, failed or not."""
    return subprocess.run(
        command,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1", **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
