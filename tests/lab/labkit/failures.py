# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report of a failed test says of the gateway: a conftest.py has it by importing the hook."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from labkit.hosts import host

COMMANDS = (
    "systemctl --failed --no-legend",
    "ip rule; ip -6 rule",
    "wg show all latest-handshakes",
    "journalctl --no-pager --lines 80",
)


def state_of_the_gateway() -> list[tuple[str, str]]:
    """Returns title and text of each section to add to the report."""
    done = {command: host("gw").run(command) for command in COMMANDS}
    return [(f"gateway: {command}", result.stdout + result.stderr) for command, result in done.items()]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Adds the gateway's state and journal to the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections += state_of_the_gateway()
