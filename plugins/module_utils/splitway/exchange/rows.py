# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries ↔ rows of a table. A list has a row for each domain and network, a policy one for each rule, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..topology.errors import shown
from ..topology.rules import RULE_KEYS
from .cells import read_cell, write_cell
from .entries import Entry, Refused, Steps
from .kinds import Kind
from .tables import Row, Table

Places = dict[Steps, tuple[int, Steps]]
"""Where a line of its own begins inside an entry → its number, and the steps that its column stands for."""


def to_rows(kind: Kind, name: str, value: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the rows of one entry: what it says once stands in the first."""
    said = {**value, "name": name}
    own = {column: write_cell(column, said.get(column)) for column in kind.own_columns}
    first = True
    for row in _item_rows(kind, value):
        yield {**(own if first else {"name": own["name"]}), **row}
        first = False
    if first:
        yield own


def _item_rows(kind: Kind, value: dict[str, Any]) -> Iterator[dict[str, str]]:
    for key, column in kind.items.items():
        for item in value.get(key) or ():
            yield {column: write_cell(column, item)}
    for rule in (value.get("rules") or ()) if kind.rules else ():
        yield {key: write_cell(key, rule.get(key)) for key in RULE_KEYS}


def from_rows(kind: Kind, file: str, table: Table, refused: Refused) -> list[Entry]:
    """Return the entries of a table; rows of a kind with rows for items belong together by their names."""
    if not kind.by_name:
        return [_whole(kind, file, row, table.columns) for row in table.rows]
    names: dict[str, list[Row]] = {}
    for row in table.rows:
        name = read_cell("name", row.cells.get("name", ""))
        if name is None:
            # A rule of nobody may be one of any policy.
            (refused.file if kind.rules else refused.line)(file, row.line, where="name", problem="is required")
        else:
            names.setdefault(name, []).append(row)
    return [_gathered(kind, file, name, rows, refused) for name, rows in names.items()]


def _whole(kind: Kind, file: str, row: Row, columns: tuple[str, ...]) -> Entry:
    """Return the entry of one row. A column that is there and empty is None: it says that there is no such value."""
    value = {column: read_cell(column, row.cells.get(column, "")) for column in kind.keys if column in columns}
    return Entry(value.get("name"), value, file, row.line, lambda steps: (row.line, steps), row.wrong)


def _gathered(kind: Kind, file: str, entry_name: str, rows: list[Row], refused: Refused) -> Entry:
    """Return the entry of the rows that have its name."""
    value: dict[str, Any] = {}
    places: Places = {}
    agree = [_own(kind, file, row, value, places, refused) for row in rows]
    for row in rows:
        if row.wrong:
            continue
        for key, column in kind.items.items():
            for name in (column, key):  # all of them may stand in one cell
                found = read_cell(name, row.cells.get(name, ""))
                for item in found if isinstance(found, list) else () if found is None else (found,):
                    items = value.setdefault(key, [])
                    places[key, len(items)] = (row.line, (name,))
                    items.append(item)
        rule = {key: read_cell(key, row.cells[key]) for key in RULE_KEYS if kind.rules and key in row.cells}
        if rule:
            rules = value.setdefault("rules", [])
            places["rules", len(rules)] = (row.line, ())
            rules.append(rule)

    def place(steps: Steps) -> tuple[int, Steps]:
        for depth in (2, 1):
            if steps[:depth] in places:
                line, column = places[steps[:depth]]
                return line, (*column, *steps[depth:])
        return rows[0].line, steps

    wrong = not all(agree) or (kind.rules and any(row.wrong for row in rows))
    return Entry(entry_name, value, file, rows[0].line, place, wrong)


def _own(kind: Kind, file: str, row: Row, value: dict[str, Any], places: Places, refused: Refused) -> bool:
    """Take what a row says of the entry as a whole; return whether it is what the rows before say."""
    agrees = True
    for column in kind.own_columns[1:]:
        found = read_cell(column, row.cells.get(column, ""))
        if found is None:
            continue
        if value.setdefault(column, found) != found:
            first = shown(value[column])
            refused.line(file, row.line, column, f"{shown(found)}, but a line before says {first}")
            agrees = False
        places.setdefault((column,), (row.line, (column,)))
    return agrees
