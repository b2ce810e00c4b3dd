# SPDX-License-Identifier: GPL-3.0-or-later
"""CSV as spreadsheets and people write it: semicolons or commas, a byte order mark or none, quotes, line ends."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from ..topology.errors import shown, suggestion
from .cells import FORMULAS
from .entries import Refused

SEPARATORS = ",;\t|"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Row:
    """One line of a table: its cells by column, empty ones left out."""

    line: int
    cells: dict[str, str]
    wrong: bool = False  # it is refused already


@dataclass(frozen=True)
class Table:
    """A table with its known columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def decoded(file: str, content: bytes, refused: Refused) -> str:
    """Return a file's text; what is not UTF-8 (or, with its mark, UTF-16) is refused at its line."""
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        refused.file(file, line, f"is not UTF-8{': save it as CSV UTF-8' if file.endswith('.csv') else ''}")
        return ""


def read_table(file: str, content: bytes, known: tuple[str, ...], what: str, refused: Refused) -> Table:
    """Return the rows of a table; what is wrong with it is refused, and left out."""
    lines = list(_lines(file, decoded(file, content, refused), known, refused))
    if not lines:
        if file not in refused.files:
            refused.file(file, 1, "is empty: the first line names the columns")
        return Table((), ())
    columns = _columns(file, *lines[0], known, what, refused)
    rows = []
    for line, cells in lines[1:]:
        wrong = any(cell.strip() for cell in cells[len(columns) :])
        if wrong:
            problem = f"has {len(cells)} cells, and there are {len(columns)} columns"
            refused.line(file, line, "", f"{problem}: does a cell want quotes?")
        found = {column: cell for column, cell in zip(columns, cells) if column and cell.strip()}
        rows.append(Row(line, found, wrong))
    return Table(tuple(filter(None, columns)), tuple(row for row in rows if row.cells))


def write_table(columns: tuple[str, ...], rows: Iterator[dict[str, str]]) -> str:
    """Return a table of these columns as text: commas, quotes where needed, a line feed at the end of each line."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _lines(file: str, text: str, known: tuple[str, ...], refused: Refused) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, cells) for each line that is not blank."""
    stream = io.StringIO(text, newline="")
    separator, skipped = _separator(text, known)
    for _ in range(skipped):
        stream.readline()
    largest = csv.field_size_limit(len(text) + 1)  # its own limit, 128 KiB, is less than a client's rules may be
    begun = skipped + 1
    try:
        reader = csv.reader(stream, delimiter=separator, strict=True)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begun, cells
            begun = skipped + reader.line_num + 1
    except csv.Error as error:
        refused.file(file, begun, f"is not CSV, nor can what follows be read: {error}")
    finally:
        csv.field_size_limit(largest)


def _separator(text: str, known: tuple[str, ...]) -> tuple[str, int]:
    """Return what separates cells, and how many lines come before the names of columns.

    Excel writes semicolons where a comma is the decimal point, and reads `sep=;` as a first line.
    """
    first = text.partition("\n")[0].strip()
    if first.startswith("sep=") and first[4:5] in SEPARATORS and len(first) == 5:
        return first[4], 1
    found = {mark: sum(_column(name) in known for name in first.split(mark)) for mark in SEPARATORS}
    return max(SEPARATORS, key=lambda mark: found[mark]), 0


def _columns(file: str, line: int, names: list[str], known: tuple[str, ...], what: str, refused: Refused) -> list[str]:
    """Return the columns; "" stands for one that is refused."""
    columns: list[str] = []
    for name in names:
        column = _column(name)
        if column in columns:
            refused.file(file, line, f"{shown(name)} is there twice")
            column = ""
        elif column and column not in known:
            problem = f"{shown(name)} is no column of {what}{suggestion(column, known)}"
            refused.file(file, line, problem)
            column = ""
        columns.append(column)
    return columns


def _column(name: str) -> str:
    return name.strip().strip('"').lstrip(FORMULAS).lower().replace(" ", "_").replace("-", "_")
