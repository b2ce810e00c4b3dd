# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenario's tests share: clients with tunnels, their traffic, and a capture of all that leaves the gateway.

They run in the order of their file names, on one gateway. It begins in a network without UDP.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from labkit import wire
from labkit.clients import CLIENTS, start_clients
from labkit.failures import pytest_runtest_makereport
from labkit.hosts import host

__all__ = ["pytest_runtest_makereport"]
TRAFFIC = "autovpn-traffic"  # the unit of each client's
# What belongs into a tunnel, and a name that does not, asked all the time.
WISHES = [
    ["google.com", 4],
    ["google.com", 6],
    ["youtube.com", 4],
    ["youtube.com", 6],
    ["198.51.100.161", 4],
    ["example.org", 4],
]


@pytest.fixture(scope="session", autouse=True)
def captured() -> Iterator[None]:
    """The capture and the clients' traffic, from the first test on."""
    wire.start()
    start_clients()
    for client in CLIENTS:
        host(client).check_output(
            f"systemd-run --quiet --collect --unit {TRAFFIC} python3 /opt/lab/probe.py --every 0.5 %s",
            json.dumps(WISHES),
        )
    yield
    for client in CLIENTS:
        host(client).run(f"systemctl stop {TRAFFIC}")
    if host("tap").run("pgrep -x tcpdump").rc == 0:
        wire.stop()
