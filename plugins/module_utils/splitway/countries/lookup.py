# SPDX-License-Identifier: GPL-3.0-or-later
"""In which country an address is, of those that this host has data of: which are those that rules name."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Optional

from ..state import FAMILIES
from ..system import System
from .errors import CountryError
from .kept import networks


class Lookup:
    """The countries of addresses; what is read once is kept."""

    def __init__(self, system: System, countries: Iterable[str]) -> None:
        self._system, self._countries = system, tuple(countries)
        self._ranges: Optional[dict[int, tuple[list[int], list[tuple[int, str]]]]] = None

    def of(self, address: str) -> str:
        """Return the country of an address, "" when it is not known."""
        if not self._countries:
            return ""
        if self._ranges is None:
            self._ranges = {family: self._read(family) for family in FAMILIES}
        found = ip_address(address)
        firsts, ends = self._ranges[found.version]
        index = bisect.bisect(firsts, int(found)) - 1
        return ends[index][1] if index >= 0 and int(found) <= ends[index][0] else ""

    def _read(self, family: int) -> tuple[list[int], list[tuple[int, str]]]:
        ranges: list[tuple[int, int, str]] = []
        for country in self._countries:
            try:
                parts = map(ip_network, networks(self._system, country, family))
                ranges += [(int(part.network_address), int(part.broadcast_address), country) for part in parts]
            except CountryError:
                continue  # `splitway status` says so
        ranges.sort()
        return [first for first, _, _ in ranges], [(last, country) for _, last, country in ranges]
