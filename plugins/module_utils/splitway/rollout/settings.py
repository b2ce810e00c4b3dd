# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_rollout_waves` and `splitway_gate`: how a rollout proceeds, and what holds it up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Union

from ..topology.errors import Report, TopologyError, shown
from ..topology.plain import BROKEN, plain
from ..topology.reading import Fields, as_list, good, parse_list, parse_value
from ..topology.scalars import duration, name, number, text

WAVES = "splitway_rollout_waves"
GATE = "splitway_gate"
CONFIRM = "splitway_confirm_timeout"
LONGEST = 3600  # seconds
KEYS = ("timeout", "ignore_upstreams", "minimum_handshakes", "canary", "commands")

MARGIN = 10
"""Seconds of the confirm time that the gate leaves for what comes after it: the wave's judgement and the confirmation,
a task each, 0.3 to 0.7 s a gateway (measured)."""

_SHARE = re.compile(r"([1-9][0-9]?|100)%")

_seconds = number("a number of seconds", 0, LONGEST)

Size = Union[int, Fraction]
"""How many gateways a wave has: a number of them, or a share of all."""


@dataclass(frozen=True)
class Gate:
    """What a gateway must show after a change before it is confirmed."""

    timeout: int = 60  # seconds that it may take to come
    ignore_upstreams: tuple[str, ...] = ()
    minimum_handshakes: float = 0.8  # share of the clients connected before that are still connected
    canary: str = ""  # a client that must have had a handshake since; "": none
    commands: tuple[tuple[str, ...], ...] = ()  # run on the controller, each must succeed


@dataclass(frozen=True)
class Settings:
    """A rollout's settings."""

    waves: tuple[Size, ...] = (1, Fraction(1, 10), Fraction(1))
    gate: Gate = Gate()
    confirm: int = 120  # seconds in which a run is to be confirmed


def read_settings(waves: Any, gate: Any, confirm: Any) -> Settings:
    """Return the settings that an operator's variables describe, of one gateway.

    Raises TopologyError with all that is wrong.
    """
    report = Report()
    waves, gate, confirm = plain(waves, WAVES, report), plain(gate, GATE, report), plain(confirm, CONFIRM, report)
    settings = Settings(_read_waves(report, waves), _read_gate(report, gate), _read_confirm(report, confirm))
    if settings.confirm and settings.gate.timeout + MARGIN > settings.confirm:
        report.add(
            f"{GATE}.timeout",
            f"{settings.gate.timeout} leaves less than {MARGIN} of the {settings.confirm} seconds of {CONFIRM}",
        )
    report.finish()
    return settings


def _read_confirm(report: Report, value: Any) -> int:
    if value is None:
        return Settings.confirm
    seconds = parse_value(report, CONFIRM, value, _seconds) or 0
    if value is not BROKEN and seconds == 0 and not report.errors:
        report.add(CONFIRM, "0 is of no use for a rollout: a gateway that is lost would not come back")
    return seconds


def _read_waves(report: Report, value: Any) -> tuple[Size, ...]:
    if value is None or value is BROKEN:
        return Settings.waves
    if value == []:
        report.add(WAVES, 'is empty: leave it out for [1, "10%", "100%"]')
    return tuple(size for size in parse_list(report, WAVES, value, _size) if size is not None)


def _size(value: Any) -> Size:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if found:
        return Fraction(int(found[1]), 100)
    if isinstance(value, str) and value.isascii() and value.isdigit() and int(value):
        return int(value)
    raise TopologyError(f'{shown(value)} is not the size of a wave (a number of gateways, or a share like "10%")')


def _read_gate(report: Report, value: Any) -> Gate:
    fields = Fields(report, GATE, value, KEYS)
    return Gate(
        timeout=fields.get_or("timeout", duration(1, LONGEST), Gate.timeout),
        ignore_upstreams=good(fields.entries("ignore_upstreams", name)),
        minimum_handshakes=fields.get_or("minimum_handshakes", _part, Gate.minimum_handshakes),
        canary=fields.get_or("canary", name, ""),
        commands=tuple(_commands(fields)),
    )


def _part(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise TopologyError(f"{shown(value)} is not a share (0 to 1)")
    return float(value)


def _commands(fields: Fields) -> list[tuple[str, ...]]:
    commands = []
    path = f"{fields.path}.commands"
    for index, entry in enumerate(as_list(fields.report, path, fields.values.get("commands"))):
        words = parse_list(fields.report, f"{path}[{index}]", entry, lambda value: text(value, "a word of a command"))
        if entry == []:
            fields.report.add(f"{path}[{index}]", "is empty")
        commands.append(tuple(word for word in words if word is not None))
    return commands
