# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests of the lab share.

They run in the order of their file names, on one gateway, and each leaves it converged.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # documents
sys.path.insert(0, str(Path(__file__).parent))

from labkit.clients import start_clients
from labkit.failures import pytest_runtest_makereport
from labkit.groups import wait_for_best_ways
from labkit.hosts import FILES

__all__ = ["pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def backend() -> str:
    """The backend of this scenario."""
    return os.environ.get("LAB_BACKEND", "ipset")


@pytest.fixture(scope="session")
def first_run() -> dict[str, Any]:
    """What was found on the plain host before the first run."""
    found: dict[str, Any] = json.loads((FILES / "first-run.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="session")
def clients(first_run: dict[str, Any]) -> None:
    """Both clients' tunnels, up with the files that the collection wrote, and the gateway's own."""
    start_clients()
    wait_for_best_ways()
