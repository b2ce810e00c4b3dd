# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `routes`: tables and ip rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .constants import FAMILIES


@dataclass(frozen=True)
class Table:
    """The routing table of one egress, both families; it always ends in a floor."""

    number: int
    egress: str
    interface: Optional[str]  # None: only the floor
    families: tuple[int, ...] = FAMILIES  # families that have a route through the interface
    floor: str = "unreachable"  # unreachable | prohibit | throw
    may_go_direct: bool = False  # on_down: direct; a choice may replace the floor by `throw`


@dataclass(frozen=True)
class Rule:
    """One ip rule, in both families unless it says which."""

    priority: int
    action: str  # lookup | goto | unreachable | nop
    table: Optional[int] = None  # lookup
    target: Optional[int] = None  # goto
    mark: Optional[int] = None
    mask: Optional[int] = None
    iif: Optional[str] = None
    oif: Optional[str] = None
    source: Optional[str] = None  # a network; with it or a destination the rule is of one family
    destination: Optional[str] = None
    family: Optional[int] = None  # None: both


@dataclass(frozen=True)
class Routes:
    """Policy routing: tables are loaded before rules."""

    tables: tuple[Table, ...] = ()
    rules: tuple[Rule, ...] = ()
    kept: tuple[str, ...] = ()  # networks of clients: nowhere while their interface is away, not the uplink's
