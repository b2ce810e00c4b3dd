# SPDX-License-Identifier: GPL-3.0-or-later
"""A table with a header: columns `domain` and `network`, or `type` and `value`; others are looked past."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from ...topology.errors import shown
from ..entries import Collector, Entries
from ..errors import SourceError
from . import kinds

DELIMITERS = ",;\t|"


def read(text: str) -> Entries:
    """Return what the columns hold. Raises SourceError when the header names none of them."""
    found = Collector()
    rows = _rows(text)
    first, header = next(rows, (1, []))
    columns = [name.strip().lower() for name in header]
    typed = "type" in columns and "value" in columns
    known = [index for index, name in enumerate(columns) if kinds.of(name)]
    if not typed and not known:
        raise SourceError(f"line {first}: the header names no column domain or network, and not type and value")
    for number, row in rows:
        cells = dict(zip(columns, (cell.strip() for cell in row)))
        if typed:
            _take(found, number, cells)
            continue
        for index in known:
            if index < len(row) and row[index].strip():
                kinds.take(found, number, columns[index], row[index].strip())
    return found.entries()


def is_header(line: str) -> bool:
    """Return whether a line is the header of such a table: it names columns, and holds nothing yet."""
    if "." in line or ":" in line:
        return False
    for delimiter in DELIMITERS:
        columns = {cell.strip().strip('"').lower() for cell in line.split(delimiter)}
        if {"type", "value"} <= columns or (kinds.column(columns) and (delimiter in line or len(columns) == 1)):
            return True
    return False


def _take(found: Collector, number: int, cells: dict[str, str]) -> None:
    kind, value = cells.get("type", ""), cells.get("value", "")
    if kind and value:
        kinds.take(found, number, kind, value)
    else:
        found.mistake(number, ",".join(cells.values()), f"{shown(','.join(cells.values()))} has no type or no value")


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of all rows that hold anything and are no comments."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    header = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    delimiter = max(DELIMITERS, key=header.count)
    # With their ends: what a cell in quotes has in two lines is no name, and not one of both.
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row) and not row[0].startswith("#"):
                yield reader.line_num, row
    except csv.Error as error:
        raise SourceError(f"line {reader.line_num}: {error}") from error
