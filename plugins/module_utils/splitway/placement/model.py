# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's gateways and members, where each member is, and what a plan changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from ..topology.errors import TopologyError
from ..topology.model import Address, Interface

NEW, GONE, DRAINED, PINNED, REGION = "new", "gone", "drained", "pinned", "region"
OVER_CAPACITY, REBALANCED, REMOVED = "over capacity", "rebalanced", "removed"
STANDBY, ADDRESSES = "standby", "addresses"
"""Why a client's places change. The last two: it has more or fewer standby gateways; its addresses had to change."""

NAMED = 5  # clients or gateways in one message


class PlacementError(TopologyError):
    """A fleet that cannot be placed; the message has a line for each thing that is in the way."""


@dataclass(frozen=True)
class Gateway:
    """One of the fleet, as far as placement looks at it."""

    name: str
    weight: float = 1.0  # its share of the clients, beside the others' weights
    capacity: Optional[int] = None  # of clients of the fleet; None: as many as it has addresses
    region: Optional[str] = None
    drain: bool = False  # it takes no clients, and those that it has leave
    addresses: tuple[Interface, ...] = ()  # its own, and thereby the networks of its clients
    taken: frozenset[Address] = frozenset()  # by its clients that are none of the fleet's
    twins: str = ""  # what gateways have in common that clients cannot tell apart (one server key); "": it has no twin


@dataclass(frozen=True)
class Member:
    """A client of the fleet, as far as placement looks at it."""

    name: str
    gateway: Optional[str] = None  # its pin: the gateway that it has to be on
    region: Optional[str] = None
    standby: int = 0  # how many further gateways carry it
    addresses: tuple[Address, ...] = ()  # that it has wherever it is; empty: from its gateways' pools
    keyed: bool = True  # whether the inventory has its key
    path: str = ""  # where the operator wrote it

    @property
    def places(self) -> int:
        """Return on how many gateways it wants to be."""
        return 1 + self.standby

    def __str__(self) -> str:
        return f'{self.path} ("{self.name}")' if self.path else f'client "{self.name}"'


@dataclass(frozen=True)
class Place:
    """A gateway that carries a client, and the client's addresses there."""

    gateway: str
    addresses: tuple[Address, ...] = ()


Placement = Mapping[str, tuple[Place, ...]]
"""The places of each client by its name, its first gateway first, then its standby gateways."""


@dataclass(frozen=True)
class Change:
    """What a plan does with one client."""

    client: str
    before: tuple[Place, ...]
    after: tuple[Place, ...]
    why: str

    @property
    def moves(self) -> bool:
        """Return whether the client stays in the fleet with other gateways than before."""
        return bool(self.before and self.after) and gateways_of(self.before) != gateways_of(self.after)

    @property
    def new_files(self) -> tuple[str, ...]:
        """Return the gateways whose file for this client is another than before, or new."""
        files = set(enumerate(self.before))
        return tuple(place.gateway for index, place in enumerate(self.after) if (index, place) not in files)


@dataclass(frozen=True)
class Plan:
    """A fleet's placement, and what is new about it."""

    placement: Placement
    changes: tuple[Change, ...] = ()
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # places by gateway: before, after


def gateways_of(places: tuple[Place, ...]) -> tuple[str, ...]:
    """Return the names of the gateways of some places."""
    return tuple(place.gateway for place in places)


def listed(names: Sequence[str], between: str = ", ") -> str:
    """Return names in a row, the first few of many."""
    row = between.join(names[:NAMED])
    return row if len(names) <= NAMED else f"{row} and {len(names) - NAMED} more"
