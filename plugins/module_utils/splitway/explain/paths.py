# SPDX-License-Identifier: GPL-3.0-or-later
"""From an egress number to what leaves the gateway: mark, ip rule, table, interface; or why nothing does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Optional

from ..state import DIRECT, Device, Egress, Marks, Routes, State, Table, Way, mark_of
from ..transports import WEBSOCKET, by_websocket
from .model import Facts, Hop, Path

BLOCK = "prohibit"  # the floor of the egress block
LET_ON = "throw"  # the floor that lets packets on to the host's own routes
DIRECT_NAME = "direct"
GATEWAY = "the gateway itself"


class Egresses:
    """All egresses of a state, by number."""

    def __init__(self, state: State, marks: Marks) -> None:
        self._state = state
        self._marks = marks
        self._by_number: Mapping[int, Egress] = {egress.number: egress for egress in marks.egresses}
        self._tables: Mapping[int, Table] = {table.number: table for table in state.routes.tables}
        addresses = state.server.addresses if state.server else ()
        self._own = frozenset(address.partition("/")[0] for address in addresses)
        self._carried = frozenset(device.interface for device in state.upstreams if _over_websocket(device))
        self._priorities = _priorities(state.routes, marks.mask)

    def name(self, number: int) -> str:
        """Return the operator's word for the number."""
        if number in self._by_number:
            return self._by_number[number].name
        return self._tables[number].egress if number in self._tables else str(number)

    def ways(self, number: int) -> tuple[Way, ...]:
        """Return what new flows to the egress get now."""
        egress = self._by_number.get(number)
        return (egress.ways if egress else ()) or (Way(number),)

    def fallback(self, number: int) -> Optional[str]:
        """Return the egress that is in force in place of this one, which is down; None when it is up."""
        egress = self._by_number.get(number)
        if egress is not None and egress.direct:
            return DIRECT_NAME
        own = self.name(number)
        names = (self.name(way.number).partition("/")[0] for way in self.ways(number))
        return next((name for name in names if name != own), None)

    def paths(self, number: int, family: int, pair: Optional[tuple[str, str]], facts: Facts) -> tuple[Path, ...]:
        """Return the paths of new flows; `pair`: source and destination, for what only the kernel knows."""
        ways = self.ways(number)
        whole = sum(way.weight for way in ways) or 1
        return tuple(self._path(way, round(100 * way.weight / whole), family, pair, facts) for way in ways)

    def _path(self, way: Way, share: int, family: int, pair: Optional[tuple[str, str]], facts: Facts) -> Path:
        number, table = way.number, self._tables.get(way.number)
        mark = mark_of(number, self._marks.mask)
        interface = table.interface if table is not None and family in table.families else None
        path = Path(
            number=number,
            egress=self.name(number),
            share=share,
            mark=f"{mark:#x}",
            priority=self._priorities.get(mark),
            table=None if number == DIRECT else number,
            interface=interface,
            blocked=None if number == DIRECT else self._refusal(number, family, table, mark),
            websocket=interface in self._carried,
        )
        if pair is None:
            return path
        if pair[1] in self._own:
            return dataclasses.replace(path, interface=None, next_hop=GATEWAY, blocked=None)
        return path if facts.route is None else self._as_the_kernel_does(path, table, facts.route(*pair, mark))

    def _refusal(self, number: int, family: int, table: Optional[Table], mark: int) -> Optional[str]:
        """Return why the state lets nothing leave by this number."""
        name = self.name(number)
        if table is None or mark not in self._priorities:
            return f"no ip rule leads mark {mark:#x} to a table: run site.yml"
        if family in table.families if table.interface is not None else table.floor == LET_ON:
            return None
        if table.floor == BLOCK:
            return f"its egress is {name}"
        if table.interface is not None:
            return f"upstream {name.rpartition('/')[2]} has no IPv{family} address"
        if self._is_group(name):
            return f"no member of group {name} is up"
        devices = {device.name for device in self._state.upstreams}
        return f"upstream {name} is {'down' if name in devices else 'disabled'}"

    def _as_the_kernel_does(self, path: Path, table: Optional[Table], hop: Hop) -> Path:
        """Return the path with its next hop, as far as the forward guard lets it out."""
        if hop.local:  # before all our rules, whatever the mark
            return dataclasses.replace(path, interface=None, next_hop=GATEWAY, blocked=None)
        if path.blocked is not None:
            return path
        if hop.refused is not None:
            return dataclasses.replace(path, blocked=f"the kernel refuses it: {hop.refused}")
        taken = dataclasses.replace(path, interface=hop.interface, next_hop=hop.next_hop)
        expected = None if table is None else table.interface
        if expected is not None and hop.interface != expected:
            why = (
                f"the kernel leads it to {hop.interface} instead of {expected}, where the guard drops it: run site.yml"
            )
            return dataclasses.replace(taken, blocked=why)
        if expected is None and (hop.interface or "").startswith(self._marks.tunnels):
            return dataclasses.replace(taken, blocked=f"the guard lets nothing direct out by {hop.interface}")
        return taken

    def _is_group(self, name: str) -> bool:
        members = f"egress:{name}/"  # their numbers; an upstream may have one with nothing behind the slash
        return any(key.startswith(members) and key != members for key in self._state.numbers)


def first_refusal(paths: Iterable[Path]) -> Optional[str]:
    """Return why nothing leaves by any of the paths, None when something does."""
    reasons = [path.blocked for path in paths]
    return reasons[0] if reasons and all(reasons) else None


def _over_websocket(device: Device) -> bool:
    """Return whether a tunnel goes over its WebSocket: always, or on this host now."""
    return device.transport == WEBSOCKET or by_websocket(device)


def _priorities(routes: Routes, mask: int) -> dict[int, int]:
    """Return mark → the priority of the first ip rule for it."""
    found: dict[int, int] = {}
    for rule in sorted(routes.rules, key=lambda rule: rule.priority):
        if rule.mark is not None and rule.mask == mask:
            found.setdefault(rule.mark, rule.priority)
    return found
