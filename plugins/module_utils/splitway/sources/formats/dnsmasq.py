# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of dnsmasq: `server=/a/b/…`, `ipset=/a/b/set`, `address=`, `nftset=`, `local=`. Only the names count."""

from __future__ import annotations

import re

from ...topology.errors import shown
from ..entries import NO_NAMES, PATTERN, Collector, Entries
from .lines import numbered

LINE = re.compile(r"(?:--)?(server|local|address|ipset|nftset)\s*=\s*/(.*)", re.IGNORECASE)
_OPTION = re.compile(r"(?:--)?[a-z][a-z0-9-]*(\s*=.*)?", re.IGNORECASE)
_COMMENT = re.compile(r"\s#")


def read(text: str) -> Entries:
    """Return the names of dnsmasq's lines."""
    found = Collector()
    for number, line in numbered(text):
        if line[0] == "#":
            continue
        option = _COMMENT.split(line, maxsplit=1)[0].rstrip()
        names = LINE.fullmatch(option)
        if names:
            _names(found, number, option, names[2].split("/"))
        elif _OPTION.fullmatch(option):
            found.skip(number, option, NO_NAMES)
        else:
            found.mistake(number, option, f"{shown(option)} is not a line of dnsmasq")
    return found.entries()


def _names(found: Collector, number: int, option: str, parts: list[str]) -> None:
    """Take all parts but the last: that is a server's address, an address or a set."""
    if len(parts) < 2:
        found.mistake(number, option, f"{shown(option)} has no / behind its last name")
    for name in parts[:-1]:
        if name in ("", "#"):  # names without a dot; all names
            found.skip(number, option, PATTERN)
        elif name.startswith("*") and not name.startswith("*."):
            found.skip(number, name, PATTERN)
        else:
            found.domain(number, name)
