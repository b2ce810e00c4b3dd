# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of addresses, which data of countries is made of, and the networks that sets take."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""The first and the last address."""

BITS = {4: 32, 6: 128}


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Return the fewest ranges that hold the same addresses, in order."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            if last > found[-1][1]:
                found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def networks_of(ranges: Iterable[Range], family: int) -> tuple[str, ...]:
    """Return the fewest networks that hold exactly the addresses of these ranges, in order."""
    spelling = ipaddress.IPv4Network if family == 4 else ipaddress.IPv6Network
    bits = BITS[family]
    return tuple(
        str(spelling((base, bits - size)))
        for first, last in merged(ranges)
        for base, size in _blocks(first, last, bits)
    )


def _blocks(first: int, last: int, bits: int) -> Iterator[tuple[int, int]]:
    """Yield (first address, log2 of the size) of the fewest aligned blocks that make up a range.

    As ipaddress.summarize_address_range, which takes five times as long: it makes an object of each address.
    """
    while first <= last:
        aligned = (first & -first).bit_length() - 1 if first else bits
        size = min(aligned, (last - first + 1).bit_length() - 1)
        yield first, size
        first += 1 << size


def addresses(ranges: Iterable[Range]) -> int:
    """Return how many addresses ranges that were merged hold."""
    return sum(last - first + 1 for first, last in ranges)
