# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats in which lists are published: each a pure function from a text to its entries."""

from __future__ import annotations

from typing import Callable

from ..entries import Entries
from . import adblock, cidr, csv_table, dnsmasq, hosts, json_document, plain
from .recognise import recognise

V2FLY = "v2fly"
READERS: dict[str, Callable[[str], Entries]] = {
    "dnsmasq": dnsmasq.read,
    "plain": plain.read,
    "hosts": hosts.read,
    "adblock": adblock.read,
    "cidr": cidr.read,
    "csv": csv_table.read,
    "json": json_document.read,
}
FORMATS = (V2FLY, *READERS)

__all__ = ["FORMATS", "READERS", "V2FLY", "recognise"]
