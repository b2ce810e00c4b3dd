# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of our own daemons: chosen once on each host, remembered, and known to all that depends on them.

The state has ranges. Whoever starts a daemon takes the first port of its range that nobody else has, and keeps the
choice; `present` fills it in, so that tunnels, PAC files, clients' files and chains follow. Nobody else's process is
ended for a port.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, TypeVar

from .reconcile.base import ReconcileError
from .reconcile.listening import Listener, Socket, conflicts
from .state import PortRange, State

Ports = Mapping[str, int]
"""A range's key → the port that was chosen for it on this host."""

_SECTIONS = ("transports", "upstreams", "proxies", "web")

T = TypeVar("T")


def with_ports(state: State, ports: Ports) -> State:
    """Return the state with the ports that this host chose. A choice beside its range counts for nothing."""
    if not ports:
        return state
    state = dataclasses.replace(state, **{name: filled(getattr(state, name), ports) for name in _SECTIONS})
    if state.marks is None:
        return state
    # Of the marks only these have ports of ours; their rules are many.
    host, guard = filled(state.marks.host, ports), filled(state.marks.guard, ports)
    return dataclasses.replace(state, marks=dataclasses.replace(state.marks, host=host, guard=guard))


def filled(value: T, ports: Ports) -> T:
    """Return a part of a state with the chosen ports; it is the same object when it has none of them."""
    found: Any = value
    if isinstance(value, PortRange):
        port = ports.get(value.key)
        found = (
            value if port is None or not value.low <= port <= value.high else dataclasses.replace(value, chosen=port)
        )
    elif isinstance(value, tuple):
        items = tuple(filled(item, ports) for item in value)
        found = value if all(new is old for new, old in zip(items, value)) else items
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        old = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        new = {name: filled(item, ports) for name, item in old.items()}
        changed = {name: item for name, item in new.items() if item is not old[name]}
        found = dataclasses.replace(value, **changed) if changed else value
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Wanted:
    """A port that a daemon of ours is to have."""

    range: PortRange
    protocol: str  # tcp | udp
    addresses: tuple[str, ...]  # at which it will listen


def pick(wanted: Sequence[Wanted], listeners: Collection[Listener], ours: Optional[int] = None) -> dict[str, int]:
    """Return a port for each range, by the range's key.

    The port that was chosen before, unless a stranger has it now; else the first of the range that nobody has.
    `ours`: the number of the user as whom our daemons run, None while there is no such user.

    Raises ReconcileError that says who has the ports of a range, when there is no other.
    """
    picked: dict[str, int] = {}
    kept = {(item.protocol, item.range.chosen) for item in wanted if item.range.chosen is not None}
    for item in wanted:
        others = [listener for listener in listeners if listener.user != ours]
        if item.range.chosen is not None and not in_the_way(item, item.range.chosen, others):
            picked[item.range.key] = item.range.chosen
            continue
        taken = kept | {(other.protocol, picked[other.range.key]) for other in wanted if other.range.key in picked}
        free = (
            port
            for port in range(item.range.low, item.range.high + 1)
            if (item.protocol, port) not in taken and not in_the_way(item, port, listeners)
        )
        port = next(free, None)
        if port is None:
            raise ReconcileError(_none_free(item, listeners))
        picked[item.range.key] = port
    return picked


def in_the_way(item: Wanted, port: int, listeners: Iterable[Listener]) -> tuple[Listener, ...]:
    """Return who keeps a daemon from a port."""
    sockets = [Socket(item.protocol, address, port) for address in item.addresses]
    return tuple(listener for listener in listeners if any(conflicts(listener, socket) for socket in sockets))


def passed_over(item: Wanted, port: int, listeners: Collection[Listener]) -> tuple[Listener, ...]:
    """Return who has the ports of a range before the one that was picked."""
    return tuple(found for before in range(item.range.low, port) for found in in_the_way(item, before, listeners))


SHOWN = 5  # holders that a message names


def _none_free(item: Wanted, listeners: Collection[Listener]) -> str:
    low, high = item.range.low, item.range.high
    found = passed_over(item, high + 1, listeners)
    who = "; ".join(map(str, found[:SHOWN])) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    what = f"port {low} is" if low == high else f"all ports of {low}-{high} are"
    return f"{item.range.key}: {what} taken: {who or 'by others of ours'}. Give it a range with a free one"
