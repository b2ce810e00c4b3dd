# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains in few characters: sorted from their ends, each says how much of the end of the one before it has, too.

An entry is a character of CODES, whose position is the number of characters that it has in common with the name
before it, and the beginning that differs. 50,000 names of real lists need half of their length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CODES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'()*+,/:;<=>?@[]^`{|}~"
"""Characters that neither a domain has nor a string of JavaScript has to escape."""

_ENTRY = re.compile(r"([^a-z0-9_.-])([a-z0-9_.-]*)")


def pack(domains: Iterable[str]) -> str:
    """Return the domains, which are in canonical spelling, as one string; the same for the same domains."""
    entries = []
    before = ""
    for domain in sorted({domain[::-1] for domain in domains}):
        common = _common(before, domain)
        entries.append(CODES[common] + domain[common:][::-1])
        before = domain
    return "".join(entries)


def _common(one: str, other: str) -> int:
    length = 0
    for left, right in zip(one[: len(CODES) - 1], other):
        if left != right:
            break
        length += 1
    return length


def unpack(packed: str) -> list[str]:
    """Return the domains that were packed."""
    domains = []
    name = ""
    for code, start in _ENTRY.findall(packed):
        name = start + name[len(name) - CODES.index(code) :]
        domains.append(name)
    return domains
