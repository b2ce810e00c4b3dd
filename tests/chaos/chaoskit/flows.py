# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients' traffic: HTTP over new connections, and flows that live on until something breaks them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from labkit.hosts import LabError, host, wait_until
from labkit.ways import WAYS

from chaoskit.targets import ASKED, FLOWS, wishes

FILE = "/run/lab-flows.json"
FRESH = 1.0  # seconds since its last answer within which a flow is alive
SILENT = 5.0  # seconds without an answer after which a UDP stream counts as broken


@dataclass(frozen=True)
class Flow:
    """A flow, and what became of it until now; times by the wall's clock."""

    kind: str
    target: str
    family: int
    way: str  # the one that it is on, "" when it is on none
    last: float
    moves: tuple[tuple[float, str], ...]  # when, and which way it was on then
    pauses: tuple[tuple[float, float], ...]
    ends: tuple[tuple[float, str], ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.target} IPv{self.family}"

    def pause_since(self, start: float) -> float:
        """Returns the length of the longest pause since `start`, in seconds."""
        return max((end - max(begin, start) for begin, end in self.pauses if end >= start), default=0.0)

    def broken_since(self, start: float) -> str:
        """Returns what broke the flow since `start`, "" when nothing did."""
        for at, why in self.ends:
            if at >= start:
                return f"{self}: {why}"
        for at, way in self.moves:
            if at >= start:
                return f"{self}: moved to {way}"
        if self.kind == "udp" and self.pause_since(start) > SILENT:
            return f"{self}: silent for {self.pause_since(start):.1f} s"
        return ""


def start_traffic() -> None:
    """Starts both clients' traffic, until stop_traffic()."""
    for client in ASKED:
        host(client).check_output(
            "systemd-run --quiet --collect --unit lab-traffic --property StandardOutput=null "
            "python3 /opt/lab/probe.py --every 0.5 %s",
            json.dumps(wishes(client)),
        )
    start_flows()


def start_flows() -> None:
    """Starts the long-lived flows, in place of those that there were."""
    host("alice").run("systemctl stop lab-flows; rm -f %s", FILE)
    host("alice").check_output(
        "systemd-run --quiet --collect --unit lab-flows python3 /opt/lab/flows.py %s %s", json.dumps(FLOWS), FILE
    )
    wait_for_flows()


def stop_traffic() -> None:
    """Ends what start_traffic() began."""
    for client in ASKED:
        host(client).run("systemctl stop lab-traffic lab-flows")


def flows() -> list[Flow]:
    """Returns all flows as they are now."""
    found = json.loads(host("alice").check_output("cat %s", FILE))
    return [
        Flow(
            kind=flow["kind"],
            target=flow["target"],
            family=flow["family"],
            way=WAYS.get(flow["seen"], ""),
            last=flow["last"],
            moves=tuple((at, WAYS.get(seen, seen)) for at, seen in flow["moves"]),
            pauses=tuple((begin, end) for begin, end in flow["pauses"]),
            ends=tuple((at, why) for at, why in flow["ends"]),
        )
        for flow in found
    ]


def wait_for_flows(since: float = 0.0) -> list[Flow]:
    """Returns all flows, once each was answered lately, and later than `since`."""

    def alive() -> list[Flow]:
        if host("alice").run("test -e %s", FILE).rc != 0:
            return []
        now, found = time.time(), flows()
        late = [flow for flow in found if now - flow.last > FRESH or flow.last < since or not flow.way]
        dead[:] = map(str, late)
        return [] if late else found

    dead: list[str] = ["none is there"]
    try:
        return wait_until(alive, "all flows to be answered")
    except LabError as error:
        raise LabError(f"{error}; silent: {', '.join(dead)}") from error
