# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway that loses its power, seen from the far end of its wire: the tap loses the wire with it."""

from __future__ import annotations

import json
import subprocess

from labkit.clients import CLIENTS
from labkit.hosts import LabError, container, host, wait_until
from labkit.traffic import ALLOWED, FORBIDDEN, INSIDE, OWN_RESET, destinations
from labkit.ways import WAYS, Wish

CAPTURE = "/tmp/from-the-gateway.pcap"
WATCH = "lab-watch"  # the unit of the capture on web, and of each client's traffic
GATEWAY = " or ".join(f"src host {address}" for address, way in WAYS.items() if way == "direct")


def power_cut() -> None:
    """Takes the gateway's power away and gives it back; returns when its systemd has started everything."""
    for name in ("gw", "tap"):
        subprocess.run(["docker", "kill", container(name)], check=True, capture_output=True)
    for name in ("gw", "tap"):
        subprocess.run(["docker", "start", container(name)], check=True, capture_output=True)
    running = "systemctl is-system-running"
    wait_until(lambda: host("gw").run(running).stdout.strip() == "running", "gw to be running", 120)


def start_watch(wishes: dict[str, list[Wish]]) -> None:
    """Starts to capture what arrives from the gateway itself at the web host, then traffic of each client."""
    host("web").check_output(f"rm -f {CAPTURE}")
    host("web").check_output(
        f"systemd-run --quiet --collect --unit {WATCH} tcpdump -i eth0 -Q in -U -w {CAPTURE} %s",
        f"{GATEWAY} or {INSIDE}",
    )
    wait_until(lambda: host("web").run(f"test -s {CAPTURE}").rc == 0, "tcpdump to listen")
    for client, asked in wishes.items():
        host(client).check_output(
            f"systemd-run --quiet --collect --unit {WATCH} python3 /opt/lab/probe.py --forever %s", json.dumps(asked)
        )


def stop_watch() -> frozenset[str]:
    """Ends what start_watch() began; returns the clients that got answers."""
    answered = set()
    for client in CLIENTS:
        invocation = host(client).check_output(f"systemctl show --property InvocationID --value {WATCH}")
        host(client).check_output(f"systemctl stop {WATCH}")
        journal = host(client).check_output(
            "journalctl --quiet --output cat _SYSTEMD_INVOCATION_ID=%s", invocation.strip()
        )
        probes = (json.loads(line) for line in journal.splitlines() if line.startswith("{"))
        if any(probe["seen"] is not None for probe in probes):
            answered.add(client)
    host("web").check_output(f"systemctl stop {WATCH}")
    return frozenset(answered)


def leaks() -> list[str]:
    """Returns the captured packets that should not have come; raises LabError when there are none that should."""
    if not captured(destinations(ALLOWED)):
        raise LabError("the capture is empty of what may leave directly: it proves nothing")
    return [line for line in captured(f"{INSIDE} or {destinations(FORBIDDEN)}") if not OWN_RESET.search(line)]


def captured(condition: str) -> list[str]:
    """Returns the captured packets that meet a condition of tcpdump's, one a line."""
    return host("web").check_output("tcpdump -nn -r %s %s 2>/dev/null", CAPTURE, condition).splitlines()
