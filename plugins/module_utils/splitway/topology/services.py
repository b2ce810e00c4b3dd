# SPDX-License-Identifier: GPL-3.0-or-later
"""`protocol` and `port` of a rule."""

from __future__ import annotations

import re
from typing import Any

from ..services import NUMBERS, Ports
from .errors import TopologyError, shown, suggestion
from .scalars import port, text

_RANGE = re.compile(r"\s*([0-9]{1,5})\s*(?:[-:]\s*([0-9]{1,5})\s*)?")
_SAME = {"icmpv6": "icmp", "ipv6-icmp": "icmp"}


def protocol(value: Any) -> str:
    """Return a protocol; ICMP is one word for both families."""
    word = text(value, "a protocol").lower()
    word = _SAME.get(word, word)
    if word not in NUMBERS:
        known = tuple(NUMBERS)
        raise TopologyError(f"{shown(value)} is not a protocol ({', '.join(known)}){suggestion(word, known)}")
    return word


def ports(value: Any) -> Ports:
    """Return a port or a range of ports, written as in 443 or "8000-8100"."""
    if not isinstance(value, str):
        first = port(value)
        return Ports(first, first)
    found = _RANGE.fullmatch(value)
    if found is None:
        raise TopologyError(f'{shown(value)} is not a port or a range of ports, like 443 or "8000-8100"')
    first, last = port(found[1]), port(found[2] or found[1])
    if first > last:
        raise TopologyError(f"{shown(value)} is not a range of ports: it ends before it begins")
    return Ports(first, last)


def merged(found: tuple[Ports, ...]) -> tuple[Ports, ...]:
    """Return the ranges in order, those that overlap or touch as one."""
    merged: list[Ports] = []
    for part in sorted(found, key=lambda part: (part.first, part.last)):
        if merged and part.first <= merged[-1].last + 1:
            merged[-1] = Ports(merged[-1].first, max(merged[-1].last, part.last))
        else:
            merged.append(part)
    return tuple(merged)
