# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger breaks while no agent runs leaks nothing, and one run of site.yml repairs it."""

from __future__ import annotations

import pytest
from labkit.clients import CLIENTS, wait_for_names
from labkit.groups import wait_for_best_ways
from labkit.hosts import host
from labkit.playbooks import playbook, playbook_succeeds
from labkit.traffic import watched_traffic
from labkit.ways import expectations, settled_ways

RULES = (
    "ip rule flush; ip rule add lookup main pref 32766; ip rule add lookup default pref 32767; "
    "ip -6 rule flush; ip -6 rule add lookup main pref 32766"
)
# The rules and the chains are each other's guards: not both at once.
DRIFT = {
    "a link down, the rules flushed, the clients' addresses taken away": {
        "upstreams": "ip link set wg-up-1 down",
        "routes": RULES,
        "server": "ip address flush dev wg0",
    },
    "a table emptied, the ruleset flushed": {
        "routes": "ip route flush table 101; ip -6 route flush table 101",
        "marks": "nft flush ruleset",
    },
}
"""By the section that it is in, what a person or another program does by hand."""


def assert_repaired() -> None:
    """Every way is the expected one again."""
    wait_for_best_ways()
    for client in CLIENTS:
        wait_for_names(client)
        assert settled_ways(client, expectations()[client]) == expectations()[client]


@pytest.mark.parametrize("faults", DRIFT)
def test_what_is_broken_leaks_nothing_and_is_repaired(faults: str, clients: None) -> None:
    host("gw").check_output("systemctl stop splitway")
    with watched_traffic():
        # From the tap: not every gateway has nft.
        for command in DRIFT[faults].values():
            host("tap").check_output(command)
        look = playbook("verify.yml")
        assert look.status != 0
        said = look.output.replace("\\", "")
        missed = [section for section in DRIFT[faults] if f'"{section}": [' not in said]
        assert missed == [], f"verify.yml did not notice:\n{look.output}"
        playbook_succeeds("site.yml")
    assert host("gw").check_output("systemctl is-active splitway") == "active"
    assert_repaired()
