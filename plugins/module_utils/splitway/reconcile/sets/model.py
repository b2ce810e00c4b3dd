# SPDX-License-Identifier: GPL-3.0-or-later
"""What sets.py and its two backends share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from ...state import AddressSet
from ..base import ReconcileError

IPSET, NFTABLES = "ipset", "nftables"

# The names that the section owns; the clients' lookup sets sw4c and sw6c are marks.py's.
# The trailing t is a set that a broken-off run left behind half-built.
OWNED = re.compile(r"sw[46](?:[dgnp]\d+|[smh])(?:_[0-9a-f]{6})?t?")

# Learned addresses of one list: the ipset default of 65,536 is too few for a CDN's names (facts.md).
LEARNED_SIZE = 262144


class FullSet(ReconcileError):
    """A learned set has no room for an address."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the set {name} is full")
        self.name = name


@dataclass(frozen=True)
class KernelSet:
    """One set as the kernel has it; `members` as its tool prints them, with their remaining time if learned."""

    name: str
    header: str  # type and parameters, comparable with a desired set's
    members: tuple[str, ...] = ()
    timeout: Optional[int] = None  # seconds

    def remaining(self) -> dict[str, int]:
        """Return the learned addresses with the seconds that each has left."""
        left = {}
        for member in self.members:
            address, _, seconds = member.partition(" timeout ")
            left[address] = int(seconds or 0)
        return left

    def room(self) -> int:
        """Return how many more members it takes."""
        size = re.search(r"\b(?:maxelem|size) (\d+)", self.header)
        return max(0, int(size[1]) - len(self.members)) if size else 0


@dataclass(frozen=True)
class Current:
    """The sets of ours in both backends, and which of the two is wanted."""

    backend: str
    kernel: Mapping[str, Mapping[str, KernelSet]]  # by backend, then name
    empty_table: bool = False  # an nft table of ours with nothing in it


@dataclass(frozen=True)
class Step:
    """What apply does to one set. `rebuild`: the set exists with other parameters."""

    backend: str
    name: str
    desired: Optional[AddressSet] = None  # None: remove
    header: str = ""
    rebuild: bool = False
    add: tuple[str, ...] = ()  # static members, or learned ones as "ADDRESS timeout SECONDS"
    remove: tuple[str, ...] = ()
