# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attempts share: clients with tunnels, and the capture that judges at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from labkit import wire
from labkit.clients import start_clients
from labkit.failures import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def clients() -> None:
    """Both clients' tunnels, up with the files that the collection wrote."""
    start_clients()


@pytest.fixture(scope="module")
def captured(clients: None) -> Iterator[None]:
    """The capture, from the first attempt on."""
    wire.start()
    yield
    if wire.host("tap").run("pgrep -x tcpdump").rc == 0:
        wire.stop()
