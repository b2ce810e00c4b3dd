# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of our own daemons: chosen once on each host, remembered, and known to all that depends on them.

The state has ranges. Whoever starts a daemon takes the first port of its range that nobody else has, and keeps the
choice; `present` fills it in, so that tunnels, PAC files, clients' files and chains follow. Nobody else's process is
ended for a port.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from .state import PortRange, State

Ports = Mapping[str, int]
"""A range's key → the port that was chosen for it on this host."""

_SECTIONS = ("transports", "upstreams", "proxies", "web")

T = TypeVar("T")


def with_ports(state: State, ports: Ports) -> State:
    """Return the state with the ports that this host chose. A choice beside its range counts for nothing."""
    if not ports:
        return state
    return dataclasses.replace(state, **{name: filled(getattr(state, name), ports) for name in _SECTIONS})


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


def to_json(ports: Ports) -> str:
    """Return choices as JSON text."""
    return json.dumps(dict(sorted(ports.items())))


def from_json(text: str) -> dict[str, int]:
    """Return choices read from JSON text. Raises ValueError when it is damaged."""
    data = json.loads(text)
    if not isinstance(data, dict) or not all(isinstance(port, int) for port in data.values()):
        raise ValueError("not a mapping of ports")
    return {str(key): port for key, port in data.items()}
