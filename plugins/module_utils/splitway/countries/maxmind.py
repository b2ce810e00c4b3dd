# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases in MaxMind's format (GeoLite2, GeoIP2, DB-IP), which are trees made for asking about one address.

They are read whole by asking again and again for the address behind the network of the last answer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Union

from .errors import CountryError
from .ranges import BITS

Add = Callable[[str, int, int, int], None]
"""Takes a country's code, a family, the first and the last address."""

_V4 = (0, (1 << 32) - 1)
# Global unicast. Beyond it, and in two ranges inside, databases repeat the IPv4 tree: ::ffff:0:0/96 (mapped), 6to4 and
# Teredo. These addresses are no country's networks.
_V6 = tuple(
    (int(ipaddress.IPv6Address(first)), int(ipaddress.IPv6Address(last)))
    for first, last in (
        ("2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:1::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2003::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    )
)


def read(path: Path, add: Add, name: str) -> None:
    """Give `add` all networks with a country. Raises CountryError, which calls the file by this name."""
    try:
        import maxminddb
    except ImportError as error:
        raise CountryError(f"{name} needs the package python3-maxminddb") from error
    # The library notices some damage, and stumbles over other.
    damage = (maxminddb.InvalidDatabaseError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError)
    try:
        with maxminddb.open_database(str(path)) as database:
            spans = [(4, _V4)]
            if database.metadata().ip_version == 6:
                spans += [(6, span) for span in _V6]
            for family, (first, last) in spans:
                for record, start, end in _networks(database, family, first, last):
                    code = country_of(record)
                    if code:
                        add(code, family, start, end)
    except damage as error:
        raise CountryError(f"{name} is no database of MaxMind's format: {error}") from error


def _networks(database: Any, family: int, first: int, last: int) -> Iterator[tuple[Any, int, int]]:
    """Yield (record, first address, last address) of the networks in a span."""
    spelling: Callable[[int], Union[ipaddress.IPv4Address, ipaddress.IPv6Address]]
    spelling = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    most = database.metadata().node_count + 2  # what a tree of so many forks has; a damaged one may go round and round
    while first <= last:
        most -= 1
        if most < 0:
            raise ValueError("its tree has no end")
        record, length = database.get_with_prefix_len(spelling(first))
        end = first | ((1 << (BITS[family] - length)) - 1)
        if record is not None:
            yield record, first, min(end, last)
        first = end + 1


def country_of(record: Any) -> str:
    """Return the code of a record's country, in lower case: where it is, else where it is registered; "" if neither."""
    for key in ("country", "registered_country"):
        country = record.get(key) if isinstance(record, Mapping) else None
        if isinstance(country, str):  # some databases have the code alone
            return country.lower()
        if isinstance(country, Mapping) and country.get("iso_code"):
            return str(country["iso_code"]).lower()
    return ""
