# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attempts share: clients with tunnels, and the capture that judges at the end."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from guardkit import wire
from labkit.clients import start_clients
from labkit.failures import state_of_the_gateway


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Adds the gateway's state and journal to the report of a test that failed."""
    outcome = yield
    result = outcome.get_result()
    if result.failed:
        result.sections += state_of_the_gateway()


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
