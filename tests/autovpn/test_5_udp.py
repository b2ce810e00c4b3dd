# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP comes back, and goes again in the middle of a transfer."""

from __future__ import annotations

import subprocess

from autovpnkit import gateway, uplink
from labkit.hosts import container, host, wait_until
from labkit.ways import settled_ways

# Seconds: an agent that was started anew tries UDP after 30, and once more 60 after that where that failed.
RETURN = 150.0
SIZE, RATE = 20_000_000, 1_000_000  # bytes, bytes a second


def test_udp_is_used_again() -> None:
    """By the upstream that may; the other one stays in its WebSocket."""
    uplink.allow_udp()
    host("gw").check_output("systemctl restart splitway")
    wait_until(lambda: not gateway.from_loopback("us"), "us to be reached by UDP", RETURN)
    assert gateway.from_loopback("eu")
    ways = {("google.com", 4): "us", ("youtube.com", 4): "eu"}
    assert settled_ways("alice", ways) == ways


def test_a_transfer_outlives_udp() -> None:
    """It goes on where it was, by TCP's own means, once the tunnel has gone over."""
    transfer = subprocess.Popen(
        [
            *("docker", "exec", container("alice"), "curl", "--silent", "--output", "/tmp/large", "--max-time", "240"),
            *("--limit-rate", str(RATE), "--write-out", "%{size_download}", f"http://google.com/{SIZE}"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: int(host("alice").run("stat --format %s /tmp/large").stdout or 0) > SIZE // 50, "some of it")
    uplink.block_udp()
    there = int(host("alice").check_output("stat --format %s /tmp/large"))
    assert there < SIZE / 2, "much of it is still to come"
    said, _ = transfer.communicate(timeout=270)
    assert (transfer.returncode, int(said)) == (0, SIZE)
    assert gateway.from_loopback("us")
