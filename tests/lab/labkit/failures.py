# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report of a failed test says of the gateway."""

from __future__ import annotations

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
