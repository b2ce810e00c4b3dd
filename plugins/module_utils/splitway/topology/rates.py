# SPDX-License-Identifier: GPL-3.0-or-later
"""`rate` of a client or a policy: how fast its client may receive and send."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Optional

from .errors import TopologyError, shown
from .model import Rate
from .reading import Fields
from .scalars import text

KEYS = ("down", "up")

UNITS = {"kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}  # decimal, as tc has them
LEAST, MOST = (
    8_000,
    10_000_000_000,
)  # bits per second: more than a packet in two seconds, and what HTB counts in 32 bits

_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(kbit|mbit|gbit)", re.ASCII | re.IGNORECASE)


def read_rate(fields: Fields) -> Optional[Rate]:
    """Return the rate of a client or a policy; None if it has none or a wrong one."""
    if not fields.given("rate"):
        return None
    value = fields.values["rate"]
    own = Fields(fields.report, f"{fields.path}.rate", value, KEYS)
    down, up = own.get("down", bits_per_second), own.get("up", bits_per_second)
    if isinstance(value, dict) and not own.given("down") and not own.given("up"):
        fields.report.add(own.path, "has neither down nor up")
    return None if down is None and up is None else Rate(down, up)


def bits_per_second(value: Any) -> int:
    """Return a rate in bits per second. Raises TopologyError."""
    word = text(value, "a rate (like 20mbit; kbit, mbit or gbit)")
    found = _RATE.fullmatch(word)
    if found is None:
        raise TopologyError(f"{shown(word)} is not a rate (like 20mbit; kbit, mbit or gbit)")
    bits = int(Decimal(found[1]) * UNITS[found[2].lower()])
    if not LEAST <= bits <= MOST:
        raise TopologyError(f"{shown(word)} is out of range (8kbit-10gbit)")
    return bits
