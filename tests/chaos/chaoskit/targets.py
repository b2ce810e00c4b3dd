# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked during all faults, and by which ways each address may be reached."""

from __future__ import annotations

import re
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from labkit.hosts import ROOT
from labkit.ways import BLOCKED, Wish, expectations, permitted

NAMES = ROOT / "tests" / "lab" / "image" / "web" / "names.conf"

# Asked over HTTP all the time. No address is asked by clients whose policies send it different ways.
ASKED = {
    "alice": (
        "fonts.gstatic.com",
        "googleapis.com",
        "youtube.com",
        "ads.example",
        "paused.example",
        "legacy.example",
        "group.example",
        "spread.example",
        "fallback.example",
        "example.org",
        "198.51.100.129",
        "198.51.100.161",
        "2001:db8:ff:a0::1",
    ),
    "bob": ("baidu.com", "198.51.100.145", "2001:db8:ff:90::1", "example.org"),
}
# The same targets have flows that live as long as nothing breaks them; several of the group that spreads its flows.
FLOWS = (
    *((name, family) for name in ("fonts.gstatic.com", "youtube.com", "example.org") for family in (4, 6)),
    *((name, family) for name in ("group.example", "fallback.example") for family in (4, 6)),
    ("legacy.example", 4),
    *(("spread.example", family) for family in (4, 6) for _ in range(3)),
)
# The health probes of inventories/lab: each upstream asks targets of its own.
PROBED = {
    "198.51.100.240": "us",
    "198.51.100.241": "us",
    "198.51.100.242": "eu",
    "198.51.100.243": "eu",
    "198.51.100.244": "us",  # legacy, which has the same exit
}
# The expectations say which way is the best one; these are as good by the policy when that is down. An upstream returns
# from its `on_down` after a minute: longer than from one fault to the next.
ALSO = {"group.example": frozenset(("eu",)), "legacy.example": frozenset(("eu",))}

Permitted = dict[str, frozenset[str]]
"""Address → the ways by which it may be reached."""


def wishes(client: str) -> list[Wish]:
    """Returns what a client asks over HTTP."""
    return [wish for wish in expectations()[client] if wish[0] in ASKED[client]]


@cache
def ways_of_addresses() -> Permitted:
    """Returns the ways permitted for each address that anybody asks, by the expectations."""
    found: Permitted = {address: frozenset((way,)) for address, way in PROBED.items()}
    for client in ASKED:
        for target, family in wishes(client):
            ways = permitted(expectations()[client][target, family]) - {BLOCKED} | ALSO.get(target, frozenset())
            for address in addresses(target, family):
                assert found.setdefault(address, ways) == ways, f"{address} is asked by clients of different policies"
    return found


def addresses(target: str, family: int) -> frozenset[str]:
    """Returns the addresses of a name, or of the nearest name above it that has some; an address is its own."""
    try:
        return frozenset((str(ip_address(target)),))
    except ValueError:
        pass
    while target not in _names():
        _, dot, target = target.partition(".")
        assert dot, f"{NAMES} has no such name"
    return frozenset(address for address in _names()[target] if ip_address(address).version == family)


@cache
def _names() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, address in re.findall(r"^address=/(.+)/(.+)$", Path(NAMES).read_text(encoding="utf-8"), re.MULTILINE):
        found[name] = found.get(name, frozenset()) | {address}
    return found
