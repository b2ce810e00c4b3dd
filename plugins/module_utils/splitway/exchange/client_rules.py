# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of clients as rows of their own: `client` and a rule, the seeds' {type, value, action} or a usual one.

A client that such rows name has their rules, in their order, and no others.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ..topology.errors import shown, suggestion
from ..topology.rules import RULE_KEYS, SEED_RULE_KEYS
from .cells import read_cell
from .documents import read_entries
from .entries import Entry, Refused, Steps
from .kinds import Kind
from .tables import Row, read_table

NAME = "rules"
COLUMNS = tuple(dict.fromkeys(("client", *SEED_RULE_KEYS, *RULE_KEYS)))
_ROWS = Kind(NAME, "a rule of a client", COLUMNS)

RulesOf = dict[str, list[tuple[Entry, dict[str, Any]]]]
"""Client → the line of each of its rules, and the rule."""


def read_rules(file: str, content: bytes, refused: Refused) -> RulesOf:
    """Return the rules of each client in a file, CSV or JSON by its name."""
    rules: RulesOf = {}
    for row in _rows(file, content, refused):
        if not isinstance(row.value, dict):
            refused.lines.append(row.refuse((), f"{shown(row.value)} is not a mapping"))
            continue
        client = row.value.get("client")
        if not isinstance(client, str):
            refused.lines.append(row.refuse(("client",), "is required" if client is None else "is not a name"))
            continue
        rule = {key: value for key, value in row.value.items() if key != "client" and value is not None}
        rules.setdefault(client, []).append((row, rule))
    return rules


def _rows(file: str, content: bytes, refused: Refused) -> list[Entry]:
    if not file.endswith(".csv"):
        return read_entries(_ROWS, file, content, refused)
    table = read_table(file, content, COLUMNS, _ROWS.what, refused)
    return [_row(file, row) for row in table.rows]


def _row(file: str, row: Row) -> Entry:
    value = {column: read_cell(column, cell) for column, cell in row.cells.items()}
    return Entry(None, value, file, row.line, lambda steps: (row.line, steps), row.wrong)


def with_rules(clients: list[Entry], rules: RulesOf, refused: Refused) -> list[Entry]:
    """Return the clients with their rules; rules of a client that is not there are refused."""
    known = frozenset(entry.name for entry in clients if isinstance(entry.name, str))
    for name, lines in rules.items():
        if name not in known:
            problem = f"{shown(name)} is not a client{suggestion(name, known)}"
            refused.lines += [row.refuse(("client",), problem) for row, _ in lines]
    return [_with_rules(entry, rules[entry.name]) if entry.name in rules else entry for entry in clients]


def _with_rules(entry: Entry, lines: list[tuple[Entry, dict[str, Any]]]) -> Entry:
    if not isinstance(entry.value, dict):
        return entry

    def place(steps: Steps) -> tuple[int, Steps]:
        index = steps[1] if steps[:1] == ("rules",) and len(steps) > 1 else None
        if isinstance(index, int):
            return lines[index][0].place(steps[2:])
        line, rest = entry.place(steps)
        return line or lines[0][0].line, rest

    value = {**entry.value, "rules": [rule for _, rule in lines]}
    wrong = entry.wrong or any(row.wrong for row, _ in lines)
    return dataclasses.replace(
        entry, value=value, file=lines[0][0].file, line=lines[0][0].line, place=place, wrong=wrong
    )
