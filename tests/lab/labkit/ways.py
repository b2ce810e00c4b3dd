# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way a client's traffic takes, judged by the address that the web server sees."""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from labkit.hosts import SECONDS_TO_SETTLE, host

EXPECTATIONS = Path(__file__).resolve().parents[1] / "expectations.yml"
# Who the web server's caller is.
WAYS = {
    "10.90.0.10": "direct",
    "2001:db8:113::10": "direct",
    "10.90.0.21": "us",
    "2001:db8:113::21": "us",
    "10.90.0.22": "eu",
    "2001:db8:113::22": "eu",
}
BLOCKED = "blocked"
UNRESOLVED = "no address"

Wish = tuple[str, int]
"""A name or address, and the family (4 or 6) to reach it by."""


def way(result: dict[str, Any]) -> str:
    """Returns the way that one probe took; an address that no way has speaks for itself."""
    if result["address"] is None:
        return UNRESOLVED
    if result["seen"] is None:
        return BLOCKED
    return WAYS.get(result["seen"], str(result["seen"]))


def ways(client: str, wishes: list[Wish]) -> dict[Wish, frozenset[str]]:
    """Returns the ways of each wish: more than one when a name's addresses took different ones."""
    output = host(client).check_output("python3 /opt/lab/probe.py %s", json.dumps(wishes))
    found: dict[Wish, frozenset[str]] = {}
    for line in output.splitlines():
        result = json.loads(line)
        wish = (result["target"], result["family"])
        found[wish] = found.get(wish, frozenset()) | {way(result)}
    return found


def permitted(expected: str) -> frozenset[str]:
    """Returns the ways that an expectation allows: `us or eu` allows two."""
    return frozenset(expected.split(" or "))


def settled_ways(client: str, expected: dict[Wish, str]) -> dict[Wish, str]:
    """Returns the way each wish took: what was expected when all of it was; else what it took, joined by "+".

    What was not answered is asked again for a while, because tunnels take their time to settle. What was answered by
    a wrong way is not: a leak stands, however soon it ends.
    """
    end = time.monotonic() + SECONDS_TO_SETTLE
    while True:
        taken = ways(client, list(expected))
        wrong = {wish: answers - permitted(expected[wish]) for wish, answers in taken.items()}
        answered = any(answers - {BLOCKED, UNRESOLVED} for answers in wrong.values())
        if not any(wrong.values()) or answered or time.monotonic() > end:
            return {wish: "+".join(sorted(taken[wish])) if wrong[wish] else expected[wish] for wish in taken}


@cache
def expectations() -> dict[str, dict[Wish, str]]:
    """Returns, for each client, the way expected of each wish, from expectations.yml."""
    written = yaml.safe_load(EXPECTATIONS.read_text(encoding="utf-8"))
    return {
        client: {
            (target, family): expected
            for target, *both in rows
            for family, expected in zip((4, 6), both)
            if expected != "-"
        }
        for client, rows in written.items()
    }
