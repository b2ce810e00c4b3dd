# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_lists`: names and networks in bundles."""

from __future__ import annotations

from typing import Any

from .domains import domain
from .errors import Report
from .model import List, Network
from .networks import network
from .reading import Fields, good, named
from .scalars import list_name

LIST_KEYS = ("domains", "networks")


def read_lists(report: Report, entries: Any) -> tuple[List, ...]:
    """Return the lists, each entry in it once."""
    lists = []
    for path, key, value in named(report, "splitway_lists", entries, list_name):
        fields = Fields(report, path, value, LIST_KEYS)
        networks: tuple[Network, ...] = good(fields.entries("networks", network))
        lists.append(List(key, good(fields.entries("domains", domain)), networks))
    return tuple(lists)
