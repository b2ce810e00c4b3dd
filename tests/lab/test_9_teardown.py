# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""teardown.yml removes everything that we made and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from labkit.hosts import host
from labkit.playbooks import playbook_succeeds
from labkit.snapshots import difference, snapshot


@pytest.fixture(scope="module")
def after(clients: None) -> dict[str, list[str]]:
    """The gateway after teardown.yml, with a stranger's objects beside ours."""
    host("tap").check_output("nft add table inet stranger && ip rule add pref 7777 fwmark 0x40000 lookup main")
    playbook_succeeds("teardown.yml")
    return snapshot()


@pytest.mark.parametrize("subject", ["rules", "routes", "links", "ipsets", "failed units"])
def test_the_host_is_as_before(subject: str, first_run: dict[str, Any], after: dict[str, list[str]]) -> None:
    stranger = [line for line in after[subject] if line.startswith("7777:")]
    now = [line for line in after[subject] if line not in stranger]
    assert difference({subject: first_run["before"][subject]}, {subject: now}) == []


def test_the_stranger_keeps_what_it_has(after: dict[str, list[str]]) -> None:
    assert any(line.startswith("7777:") for line in after["rules"])
    assert "table inet stranger {" in after["nftables"]


def test_no_rule_of_ours_is_left(after: dict[str, list[str]]) -> None:
    assert [line for line in after["nftables"] if "splitway" in line.lower()] == []


def test_no_file_of_ours_is_left(after: dict[str, list[str]]) -> None:
    ours = "find / -xdev -iname '*splitway*' -not -path '/proc/*' -not -path '/sys/*'"
    assert host("gw").check_output(ours) == ""


def test_no_unit_of_ours_is_left(after: dict[str, list[str]]) -> None:
    assert [line for line in after["units"] if "splitway" in line] == []


def test_a_second_teardown_changes_nothing(after: dict[str, list[str]]) -> None:
    assert playbook_succeeds("teardown.yml").changed() == 0
