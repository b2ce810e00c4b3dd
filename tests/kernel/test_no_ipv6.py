# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that got an IPv6 address of a name whose egress has no IPv6: it is told at once, and goes by IPv4."""

from __future__ import annotations

import pytest
from namespaces import NamespaceSystem, run_here
from test_groups import Gateway, topology
from traffic import BACKENDS, Lab, captured, lab

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)
WEB, WEB6 = "198.51.100.1", "2001:db8:99::1"
PATIENCE = 5.0  # seconds that the browser would wait for IPv6 before it tries IPv4
AT_ONCE, TRIES = 0.5, 5  # seconds, from which a busy machine may keep some of the tries


def test_nobody_waits_for_ipv6_that_is_not_there(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    variables = topology(backend)
    for upstream in variables["splitway_upstreams"]:
        upstream["addresses"] = ["10.64.0.2"]
    Gateway(system, lab, variables)
    # Over a wire without a delay the refusal is there before connect() has let go of its socket, which then only takes
    # note of it and tries again after a second; no real network is as fast. This line is slow: its burst is used up.
    run_here("tc", "qdisc", "add", "dev", "wg0", "root", "handle", "1:", "htb", "default", "1")
    slow = ("rate", "40kbit", "burst", "1600", "cburst", "1600")
    run_here("tc", "class", "add", "dev", "wg0", "parent", "1:", "classid", "1:1", "htb", *slow)

    def fetch(*options: str) -> tuple[str, float]:
        """Return the address that was reached, "" for none, and after how many seconds that was known."""
        lab.client.run("ping", "-c", "2", "-i", "0.1", "-s", "1400", "10.8.0.1")
        more = ("--http0.9", "--max-time", "1", "--happy-eyeballs-timeout-ms", f"{PATIENCE * 1000:.0f}", "--silent")
        out = ("--output", "/dev/null", "--write-out", "%{remote_ip}|%{time_connect}|%{time_total}")
        there = ("--resolve", f"web.example:80:[{WEB6}],{WEB}")
        argv = ("curl", *more, *out, *there, *options, "http://web.example/")
        reached, connected, over = lab.client.run(*argv, check=False).split("|")
        return reached, float(connected if reached else over)

    def soonest(*options: str) -> tuple[str, float]:
        tries = (fetch(*options) for _ in range(TRIES))
        return next((found for found in tries if found[1] < AT_ONCE), ("not at once", AT_ONCE))

    with captured(lab.exits["uplink"], "uplink") as clear:
        reached, seconds = soonest()
        assert reached == WEB
        print(f"{backend}: connected after {seconds * 1000:.0f} ms")
        # By IPv6 alone there is no way, which is said at once, too.
        assert soonest("--ipv6")[0] == ""
    assert clear == []
    assert lab.way(WEB) == "wg-up-1"
