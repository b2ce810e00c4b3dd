# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The upstream groups of inventories/lab: while a tunnel is down, or was lately, they rightly use another way."""

from __future__ import annotations

import json

from labkit.hosts import host, wait_until

BEST = {"abroad": {"us"}, "preferred": {"us"}, "spread": {"us", "eu"}}
LEGACY = {"legacy": {"legacy"}}  # an upstream that has another way when it is down; it returns after a minute


def wait_for_best_ways(best: dict[str, set[str]] | None = None) -> None:
    """Waits until the agent says that each group, or each of `best`, uses the members that it likes best."""
    wanted = best or BEST | LEGACY

    def reached() -> bool:
        status = host("gw").run("splitway status --json")
        if status.rc != 0:
            return False
        ways = {group["name"]: set(group["ways"]) for group in json.loads(status.stdout)["groups"]}
        return all(ways.get(name) == members for name, members in wanted.items())

    wait_until(reached, f"the groups' best members: {wanted}", 150)
