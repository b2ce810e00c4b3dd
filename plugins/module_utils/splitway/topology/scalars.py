# SPDX-License-Identifier: GPL-3.0-or-later
"""The small values of a topology: text, numbers, booleans, choices, names, times and masks."""

from __future__ import annotations

import re
from typing import Any, Callable, Optional

from .errors import TopologyError, shown, suggestion
from .model import BLOCK, DIRECT

TUNNELS = "wg-up-"  # what the interfaces of upstreams begin with

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_LIST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!@-]{0,62}")
# The kernel takes more, but `+` is a wildcard to iptables, `%` a pattern to the kernel itself.
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,14}")
_NOT_INTERFACES = ("lo", "all", "default")  # the last two mean something else in /proc/sys/net
_TIME = re.compile(r"([0-9]{1,9})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MASK = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[1-9][0-9]{0,9}")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def text(value: Any, what: str) -> str:
    """Return a text. Raises TopologyError "… is not {what}", with a hint where YAML read something else."""
    if isinstance(value, str):
        return value
    hint = ""
    if isinstance(value, bool):
        hint = ": YAML reads it as a boolean, put it in quotes"
    elif isinstance(value, (int, float)):
        hint = ": YAML reads it as a number, put it in quotes"
    raise TopologyError(f"{shown(value)} is not {what}{hint}")


def number(what: str, low: int, high: int) -> Callable[[Any], int]:
    """Return the parser of a whole number from `low` to `high`; digits in quotes are one, a boolean is not."""

    def parse(value: Any) -> int:
        found = int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise TopologyError(f"{shown(value)} is not {what} ({low}-{high})")
        return found

    return parse


port = number("a port", 1, 65535)
keepalive = number("a number of seconds, or 0 for none", 0, 65535)


def boolean(value: Any) -> bool:
    """Return a boolean; the words that YAML and Jinja use for one are accepted as text, too."""
    found = _BOOLEANS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise TopologyError(f"{shown(value)} is not a boolean (true or false)")
    return found


def choice(what: str, options: tuple[str, ...]) -> Callable[[Any], str]:
    """Return the parser of one of a few words."""

    def parse(value: Any) -> str:
        if value not in options:
            raise TopologyError(f"{shown(value)} is not {what} ({' or '.join(options)}){suggestion(value, options)}")
        return str(value)

    return parse


def reference(what: str, known: Optional[frozenset[str]]) -> Callable[[Any], str]:
    """Return the parser of a word that must be the name of something in the topology.

    Where the names could not be read (None), which was reported, every word will do.
    """

    def parse(value: Any) -> str:
        word = text(value, what)
        if known is not None and word not in known:
            raise TopologyError(f"{shown(word)} is not {what}{suggestion(word, known)}")
        return word

    return parse


def name(value: Any) -> str:
    """Return a name: of a client, which becomes a file's name, or an upstream."""
    word = text(value, "a name")
    if not _NAME.fullmatch(word):
        raise TopologyError(
            f"{shown(word)} is not a name (letters, digits, '-', '_' and '.', at most 63; the first no '-' or '.')"
        )
    return word


def list_name(value: Any) -> str:
    """Return the name of a list or a policy. Published lists are called `geolocation-!cn` and `apple@cn`, too."""
    word = text(value, "a name")
    return word if _LIST_NAME.fullmatch(word) else name(word)


def egress_name(what: str) -> Callable[[Any], str]:
    """Return the parser of the name of an upstream or a group; the egresses that are always there have theirs."""

    def parse(value: Any) -> str:
        word = name(value)
        if word.lower() in (DIRECT, BLOCK):
            raise TopologyError(f"{shown(word)} is an egress of its own, no {what} can have that name")
        return word

    return parse


def server_interface(value: Any) -> str:
    """Return the name of the interface that clients connect to, safe in every file that names it."""
    word = text(value, "an interface name")
    if not _INTERFACE.fullmatch(word) or word in _NOT_INTERFACES:
        raise TopologyError(
            f"{shown(word)} is not an interface name (letters, digits, '-', '_', '.' and '=', at most 15)"
        )
    if word.startswith(TUNNELS):
        raise TopologyError(f"{shown(word)} is reserved: interfaces of upstreams begin with {TUNNELS}")
    return word


def exit_interface(value: Any) -> str:
    """Return the name of an exit's interface, which is part of the name of its systemd unit, too."""
    word = server_interface(value)
    if "=" in word:
        raise TopologyError(f"{shown(word)} is of no use for an exit: systemd takes no '=' in a unit's name")
    return word


def duration(low: int, high: int) -> Callable[[Any], int]:
    """Return the parser of a time: seconds, or a number with s, m, h or d."""

    def parse(value: Any) -> int:
        found = _TIME.fullmatch(value) if isinstance(value, str) else None
        seconds = int(found[1]) * _SECONDS[found[2]] if found else value
        if isinstance(seconds, bool) or not isinstance(seconds, int):
            raise TopologyError(f'{shown(value)} is not a time (seconds, or like "30m", "12h", "2d")')
        if not low <= seconds <= high:
            raise TopologyError(f"{shown(value)} is out of range ({low}-{high} seconds)")
        return seconds

    return parse


def milliseconds(what: str, low: float, high: float) -> Callable[[Any], int]:
    """Return the parser of a short time, written in seconds with decimals."""

    def parse(value: Any) -> int:
        found = float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else value
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not low <= found <= high:
            raise TopologyError(f"{shown(value)} is not {what} ({low:g}-{high:g} seconds)")
        return round(found * 1000)

    return parse


def mark_mask(value: Any) -> int:
    """Return the mask of our bits in firewall marks: contiguous, at least four (one says "classified")."""
    found = int(value, 0) if isinstance(value, str) and _MASK.fullmatch(value) else value
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found < 1 << 32:
        raise TopologyError(f"{shown(value)} is not a mask of 32 bits, like 0x3fff")
    field = found // (found & -found)
    if field & (field + 1):
        raise TopologyError(f"{shown(value)} is not a mask of adjacent bits, like 0x3fff")
    if field.bit_length() < 4:
        raise TopologyError(f"{shown(value)} has less than 4 bits")
    return found
