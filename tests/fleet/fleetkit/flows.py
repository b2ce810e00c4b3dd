# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's flows through gw3: a UDP stream and a TCP connection, each directly and through the tunnel."""

from __future__ import annotations

import json
import time
from typing import Any

from labkit.clients import start_client, wait_for_names
from labkit.hosts import FILES, host, wait_until

TARGETS = [["google.com", 4], ["example.org", 4]]
FILE = "/run/fleet-flows.json"
FRESH = 1.5  # seconds since its last answer within which a flow is alive


def start_flows() -> None:
    """Starts the client's tunnel and its flows; waits until all of them are answered."""
    start_client("alice", (FILES / "clients" / "gw3" / "alice.conf").read_text(encoding="utf-8"))
    wait_for_names("alice")
    host("alice").run(f"systemctl stop fleet-flows; rm -f {FILE}")
    host("alice").check_output(
        "systemd-run --quiet --collect --unit fleet-flows python3 /opt/lab/flows.py %s %s", json.dumps(TARGETS), FILE
    )
    wait_for_flows()


def wait_for_flows() -> None:
    """Waits until all flows are answered now."""
    wait_until(lambda: len(alive()) == 2 * len(TARGETS), "all flows to be answered")


def flows() -> list[dict[str, Any]]:
    """Returns what became of each flow until now."""
    found: list[dict[str, Any]] = json.loads(host("alice").run(f"cat {FILE}").stdout or "[]")
    return found


def alive() -> list[str]:
    """Returns the flows that are answered now."""
    now = time.time()  # before they are asked: that takes its time
    return [_name(flow) for flow in flows() if now - flow["last"] < FRESH]


def broken_since(start: float) -> list[str]:
    """Returns what happened to flows since a time that need not have: connections that ended or moved."""
    return [f"{_name(flow)}: {why}" for flow in flows() for at, why in (*flow["ends"], *flow["moves"]) if at >= start]


def _name(flow: dict[str, Any]) -> str:
    return f"{flow['kind']} {flow['target']}"
