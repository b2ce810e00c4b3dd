# SPDX-License-Identifier: GPL-3.0-or-later
"""One network a line: a prefix, an address, an address with its mask, a range `first-last`, `IP-CIDR,…`."""

from __future__ import annotations

from ..entries import Collector, Entries
from .lines import numbered
from .plain import content, is_rule


def read(text: str) -> Entries:
    """Return the networks of a list; names in it are mistakes."""
    found = Collector()
    for number, line in numbered(text):
        written = content(line)
        if is_rule(written):
            written = written.split(",")[1].strip()
        if written:
            found.network(number, written)
    return found.entries()
