# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a client and a gateway suit each other: weighted rendezvous hashing.

Each pair has a score of its own, so that a gateway that comes or goes changes no other pair's. With -w / ln(h) for an h
that is even in (0, 1) the highest score of a client is a gateway's with a chance in proportion to its weight w
(Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from hashlib import blake2b

from .model import Gateway

_STEPS = 1 << 52  # as many as a float tells apart, half a step from both ends: never 0, never 1


def score(client: str, gateway: Gateway) -> float:
    """Return the score of a pair, above 0; the same in every process and on every machine."""
    digest = blake2b(f"{gateway.name}\0{client}".encode(), digest_size=8).digest()
    even = ((int.from_bytes(digest, "big") >> 12) + 0.5) / _STEPS
    return -gateway.weight / math.log(even)


def preference(client: str, gateways: Iterable[Gateway]) -> list[str]:
    """Return the names of the gateways, the one that suits the client best first."""
    scored = sorted((-score(client, gateway), gateway.name) for gateway in gateways)
    return [name for _, name in scored]
