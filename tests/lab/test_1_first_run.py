# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's first runs: checked on the plain host, then done and repeated while its clients already knocked."""

from __future__ import annotations

from typing import Any

from labkit.playbooks import secrets
from labkit.snapshots import difference
from labkit.traffic import assert_no_leak, stop_traffic


def test_check_on_a_plain_host_succeeds(first_run: dict[str, Any]) -> None:
    assert first_run["check"]["status"] == 0, first_run["check"]["output"][-6000:]


def test_check_on_a_plain_host_changes_nothing(first_run: dict[str, Any]) -> None:
    assert difference(first_run["before"], first_run["after check"]) == []


def test_check_on_a_plain_host_tells_no_secret(first_run: dict[str, Any]) -> None:
    assert [key for key in secrets() if key in first_run["check"]["output"]] == []


def test_nothing_leaked_during_the_first_runs() -> None:
    """The traffic began before the first run and went on through the second, which molecule calls idempotence."""
    assert_no_leak(stop_traffic())
