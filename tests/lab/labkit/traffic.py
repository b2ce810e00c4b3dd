# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic of both clients, and a capture of what leaves the gateway's wire meanwhile."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labkit.hosts import LabError, container, host, wait_until
from labkit.ways import BLOCKED, expectations, permitted, way

# What each client asks all the time. No target that one client may reach directly is asked by the other through a
# tunnel, so that the destination alone tells a leak on the wire.
TARGETS = {
    "alice": (
        "fonts.gstatic.com",
        "googleapis.com",
        "youtube.com",
        "ads.example",
        "paused.example",
        "legacy.example",
        "spread.example",
        "example.org",
        "198.51.100.161",
        "2001:db8:ff:a0::1",
    ),
    "bob": ("youtube.com", "198.51.100.145", "2001:db8:ff:90::1", "example.org"),
}
# The numbers that names.conf gives to the names above which no client may reach directly.
NUMBERS = (20, 21, 22, 23, 30, 31, 50, 51, 60, 61, 62, 63, 72, 73)
FORBIDDEN = (
    *(f"{prefix}{number}" for number in NUMBERS for prefix in ("198.51.100.", "2001:db8:ff::")),
    "198.51.100.161",
    "2001:db8:ff:a0::1",
    "198.51.100.145",
    "2001:db8:ff:90::1",
)
# The addresses of example.org: everybody may reach them directly.
ALLOWED = ("198.51.100.42", "198.51.100.43", "2001:db8:ff::42", "2001:db8:ff::43")
# Nobody inside a tunnel may be seen as a sender on the wire, whoever it talks to.
INSIDE = " or ".join(
    f"src net {network}"
    for network in (
        "10.8.0.0/24",
        "10.64.0.0/16",
        "10.65.0.0/16",
        "fdcc:ad94:bacf:61a4::/64",
        "fd64::/16",
        "fd65::/16",
    )
)
# The gateway's own word, not a client's packet: to a late answer out of a tunnel, whose flow conntrack has forgotten,
# its kernel says that there is no such connection.
OWN_RESET = re.compile(r" IP6? (10\.6[45]\.0\.[23]|fd6[45]::2)\.\d+ > \S+ Flags \[R\.?\],")
CAPTURE = "/tmp/wire.pcap"


def destinations(addresses: tuple[str, ...]) -> str:
    """Returns tcpdump's condition for packets to one of the addresses."""
    return " or ".join(f"dst host {address}" for address in addresses)


def captured(condition: str) -> list[str]:
    """Returns the captured packets that meet a condition of tcpdump's, one a line."""
    return host("tap").check_output("tcpdump -nn -r %s %s 2>/dev/null", CAPTURE, condition).splitlines()


def start_traffic() -> None:
    """Starts to capture what leaves the gateway's wire, then both clients' traffic, until stop_traffic()."""
    host("tap").run("rm -f %s", CAPTURE)
    interesting = f"net 198.51.100.0/24 or net 2001:db8:ff::/48 or {INSIDE}"
    tcpdump = ["tcpdump", "-i", "eth0", "-Q", "out", "-U", "-w", CAPTURE, interesting]
    subprocess.run(["docker", "exec", "--detach", container("tap"), *tcpdump], check=True)
    wait_until(lambda: host("tap").run("test -s %s", CAPTURE).rc == 0, "tcpdump to listen")
    for client, targets in TARGETS.items():
        wishes = [wish for wish in expectations()[client] if wish[0] in targets]
        host(client).check_output(
            "systemd-run --quiet --collect --unit lab-traffic python3 /opt/lab/probe.py --forever %s",
            json.dumps(wishes),
        )


def stop_traffic() -> dict[str, list[dict[str, Any]]]:
    """Ends what start_traffic() began; returns each client's probes."""
    results: dict[str, list[dict[str, Any]]] = {}
    for client in TARGETS:
        invocation = _invocation(client)
        host(client).check_output("systemctl stop lab-traffic")
        results[client] = _probes(client, invocation)
    host("tap").check_output("pkill -INT -x tcpdump")
    wait_until(lambda: host("tap").run("pgrep -x tcpdump").rc != 0, "tcpdump to end")
    return results


def _invocation(client: str) -> str:
    """Returns what the journal knows a client's traffic of now by."""
    return host(client).check_output("systemctl show --property InvocationID --value lab-traffic").strip()


def _probes(client: str, invocation: str) -> list[dict[str, Any]]:
    """Returns a client's probes until now."""
    journal = host(client).check_output("journalctl --quiet --output cat _SYSTEMD_INVOCATION_ID=%s", invocation)
    return [json.loads(line) for line in journal.splitlines() if line.startswith("{")]


def _through_a_tunnel(probes: list[dict[str, Any]]) -> bool:
    """Returns whether something was answered through a tunnel."""
    return any(way(probe) not in (BLOCKED, "direct") for probe in probes if probe["address"])


def allowed(client: str, probe: dict[str, Any]) -> frozenset[str]:
    """Returns the ways that a probe may have taken."""
    return permitted(expectations()[client][probe["target"], probe["family"]])


def leaks(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Returns every probe that was answered by a wrong way, and every packet that should not have left."""
    answered = [
        f"{client}: {probe}"
        for client, probes in results.items()
        for probe in probes
        if probe["seen"] is not None and way(probe) not in allowed(client, probe)
    ]
    packets = captured(f"{INSIDE} or {destinations(FORBIDDEN)}")
    return answered + [packet for packet in packets if not OWN_RESET.search(packet)]


def assert_no_leak(results: dict[str, list[dict[str, Any]]]) -> None:
    """Raises LabError for one leak, and for traffic or a capture that proves nothing because there was none."""
    found = leaks(results)
    if found:
        raise LabError(f"{len(found)} leaks, the first ones:\n" + "\n".join(found[:20]))
    for client, probes in results.items():
        if not _through_a_tunnel(probes):
            raise LabError(f"{client} got nothing through a tunnel: its traffic proves nothing")
    if not captured(destinations(ALLOWED)):
        raise LabError("the capture is empty of what may leave directly: it proves nothing")


@contextmanager
def watched_traffic() -> Iterator[None]:
    """Runs traffic and capture around the body; raises LabError for one packet that left by a forbidden way.

    Each client has got something through a tunnel before the body begins, which may break that for its whole length.
    """
    start_traffic()
    try:
        for client in TARGETS:
            wait_until(
                lambda client=client: _through_a_tunnel(_probes(client, _invocation(client))),
                f"traffic of {client} through a tunnel",
            )
        yield
    finally:
        results = stop_traffic()
    assert_no_leak(results)
