# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way each egress goes now, where the state leaves a choice: made by the agent, honoured by every run.

The state says what a gateway must be; health decides, within it, which member of a group new flows go to.
Whoever reconciles brings the state *with the choices* into the kernel, so that a run of site.yml does not
undo a failover, and a failover is no drift. A choice can only be one that the state allows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from .state import Dns, Egress, Forward, Marks, Routes, State, Table, Way


@dataclass(frozen=True)
class Choice:
    """What one egress does now."""

    ways: tuple[Way, ...]
    direct: bool = False  # its own table lets packets on to the host's routes


Choices = Mapping[int, Choice]
"""Egress number → its choice. An egress without one does what the state says."""


def with_choices(state: State, choices: Choices) -> State:
    """Return the state as it is to be now. What the state does not know or allow counts for nothing."""
    if not choices:
        return state
    return dataclasses.replace(
        state,
        routes=_routes(state.routes, choices),
        dns=None if state.dns is None else _dns(state.dns, choices),
        marks=None if state.marks is None else _marks(state.marks, choices),
    )


def _routes(routes: Routes, choices: Choices) -> Routes:
    return dataclasses.replace(routes, tables=tuple(_table(table, choices) for table in routes.tables))


def _table(table: Table, choices: Choices) -> Table:
    choice = choices.get(table.number)
    if choice is None or not (choice.direct and table.may_go_direct):
        return table
    return dataclasses.replace(table, interface=None, families=(), floor="throw")


def _dns(dns: Dns, choices: Choices) -> Dns:
    return dataclasses.replace(dns, forwards=tuple(_forward(forward, choices) for forward in dns.forwards))


def _forward(forward: Forward, choices: Choices) -> Forward:
    """Return whom names are asked at now: by the ways that their flows take.

    dnsmasq itself does not leave a resolver that is silent for another, until its client asks again by the same socket.
    """
    choice = choices.get(forward.egress)
    if choice is None:
        return forward
    taken = [way.number for way in choice.ways]
    others = (choices.get(number) for number in taken)  # on_down may lead to an egress that goes directly
    if forward.directly and (choice.direct or any(other is not None and other.direct for other in others)):
        return dataclasses.replace(forward, servers=forward.directly)
    servers = [server for through in forward.ways if through.number in taken for server in through.servers]
    return dataclasses.replace(forward, servers=tuple(dict.fromkeys(servers))) if servers else forward


def _marks(marks: Marks, choices: Choices) -> Marks:
    known = frozenset(egress.number for egress in marks.egresses)
    return dataclasses.replace(marks, egresses=tuple(_egress(egress, choices, known) for egress in marks.egresses))


def _egress(egress: Egress, choices: Choices, known: frozenset[int]) -> Egress:
    choice = choices.get(egress.number)
    if choice is None or not egress.ways:
        return egress
    allowed = known.intersection((egress.number, *egress.may_use))
    ways = tuple(way for way in choice.ways if way.number in allowed and way.weight > 0)
    direct = choice.direct and egress.may_go_direct
    return dataclasses.replace(
        egress, ways=ways or egress.ways, direct=direct, interface=None if direct else egress.interface
    )
