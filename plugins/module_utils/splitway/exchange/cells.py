# SPDX-License-Identifier: GPL-3.0-or-later
"""Values ↔ cells of a table.

A cell is text as it is, a number, `true` or `false`, or JSON. What would be read as something else than it is, and
what a spreadsheet would take for a formula, is written as JSON text, in quotes.
"""

from __future__ import annotations

import json
import re
from typing import Any

NAMES = frozenset({"name", "policy", "upstream", "default", "on_down", "egress", "client"})
"""Columns of names: text, also where it looks like a number."""

LISTS = frozenset({"addresses", "allowed_ips", "members", "networks", "resolvers", "domains", "attributes"})
"""Columns of lists, which people write with commas, semicolons or new lines between the entries."""

ONE_OR_MANY = frozenset({"domain", "network", "list", "country", "protocol", "port"})
"""Columns of one value, or of a list written like that."""

WITH_SPACES = LISTS - {"domains", "attributes"}
"""Columns of lists in which spaces will do, too. In a domain a space is a slip that must not make two of it."""

FORMULAS = "=+-@\t\r"
"""What a spreadsheet's formulas begin with."""

_BETWEEN = re.compile(r"\s*[,;\r\n]\s*")
_SPACES = re.compile(r"[\s,;]+")
_JSON_BEGINS = '[{"-0123456789'
_BOOLEANS = {"true": True, "false": False}


def read_cell(column: str, cell: str) -> Any:
    """Return the value of a cell; None if it is empty."""
    text = cell.strip()
    if not text:
        return None
    if text[0] == "'" and text[1:2] and text[1] in FORMULAS:  # how other programs make a cell safe
        return text[1:]
    if column in NAMES:
        found = _from_json(text)
        return found if isinstance(found, str) else text
    if column in LISTS | ONE_OR_MANY:
        return _list(column, text)
    return _scalar(text)


def write_cell(column: str, value: Any) -> str:
    """Return the cell of a value; it is read as the same value again."""
    if value is None:
        return ""
    if isinstance(value, str):
        safe = value.isprintable() and value[:1] not in FORMULAS
        return value if safe and _same(read_cell(column, value), value) else _json(value)
    if isinstance(value, list) and column in LISTS | ONE_OR_MANY:
        written = (" " if column in WITH_SPACES else ", ").join(write_cell("", entry) for entry in value)
        if written[:1] not in FORMULAS and _same(read_cell(column, written), value):
            return written
    return _json(value)


def _list(column: str, text: str) -> Any:
    """Return the entries of a cell that is JSON or written by people; one alone is a list in columns of lists only."""
    found = _from_json(text)
    if found is not None:
        return [found] if column in LISTS and not isinstance(found, (list, dict)) else found
    between = _SPACES if column in WITH_SPACES else _BETWEEN
    entries = [_scalar(entry) for entry in between.split(text) if entry]
    return entries if column in LISTS or len(entries) > 1 else _scalar(text)


def _scalar(text: str) -> Any:
    folded = text.lower()
    if folded in _BOOLEANS:
        return _BOOLEANS[folded]
    found = _from_json(text)
    return text if found is None else found


def _from_json(text: str) -> Any:
    """Return what a text is as JSON; None if it is none."""
    if text[0] not in _JSON_BEGINS:
        return None
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are the same in their types, too: to Python 1 is True."""
    return json.dumps(one) == json.dumps(other)
