# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the faults share: clients with tunnels and traffic, the capture, and the table at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from chaoskit import report
from chaoskit.flows import start_traffic, stop_traffic
from chaoskit.judge import Lab
from chaoskit.wire import Wire
from labkit.clients import start_clients
from labkit.failures import pytest_runtest_makereport
from labkit.groups import wait_for_best_ways

__all__ = ["pytest_runtest_makereport"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the table and keeps it."""
    terminalreporter.section("faults")
    for line in report.table():
        terminalreporter.write_line(line)
    report.keep()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The gateway with the backend that Molecule converged it to, its clients' traffic, and the capture."""
    stop_traffic()
    start_clients()
    wire = Wire()
    try:
        wait_for_best_ways()
        start_traffic()
        wire.read()
        yield Lab(wire, "ipset")
    finally:
        stop_traffic()
        wire.stop()
