# SPDX-License-Identifier: GPL-3.0-or-later
"""The Markdown of docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchkit.bench import figure
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from performance.results import Result, Row, Target

DOCUMENT = Path(__file__).parents[3] / "docs/performance.md"
PLOTS = DOCUMENT.with_suffix("")


def render(results: Mapping[str, Result]) -> str:
    """Return the document. Raises jinja2's errors, KeyError for a bench without a result."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Markdown, of our own figures)
    )
    environment.globals.update(
        machine=_machine(results),
        targets=lambda bench: _targets(results[bench].targets),
        pivot=lambda bench, across, what="", split="", **sizes: _pivot(results[bench].rows, across, what, split, sizes),
        rows=lambda bench, what="", **sizes: _rows(results[bench].rows, what, sizes),
        missed=lambda: _missed(results),
    )
    return environment.get_template("performance.md.j2").render()


def _machine(results: Mapping[str, Result]) -> str:
    first = next(iter(results.values()))
    versions: dict[str, str] = {}
    for result in results.values():
        versions.update(result.versions)
    programs = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "{processor}, {cores} cores, {memory} GB, Linux {kernel}; ".format(**first.machine) + programs


def _targets(targets: tuple[Target, ...]) -> str:
    lines = [
        (
            target.what,
            figure(target.value, target.unit),
            " and ".join(_bounds(target)),
            "yes" if target.reached else "**no**",
        )
        for target in targets
    ]
    return _table(("what", "measured", "to reach", "reached"), lines)


def _bounds(target: Target) -> list[str]:
    bounds = (("≤", target.at_most), ("≥", target.at_least))
    return [f"{sign} {figure(bound, target.unit)}" for sign, bound in bounds if bound is not None]


def _missed(results: Mapping[str, Result]) -> str:
    lines = [
        (f"[{name}](#{name})", target.what, figure(target.value, target.unit), " and ".join(_bounds(target)))
        for name, result in results.items()
        for target in result.targets
        if not target.reached
    ]
    return _table(("bench", "what", "measured", "to reach"), lines)


def _pivot(rows: tuple[Row, ...], across: str, what: str, split: str, sizes: Mapping[str, Any]) -> str:
    """Return one line a figure (and value of the size `split`), its medians across the values of one size."""
    cells: dict[str, dict[Any, str]] = {}
    columns: dict[Any, None] = {}
    for row in rows:
        if row.matches(what, sizes) and across in row.sizes:
            name = f"{row.what} {row.sizes.get(split, '')}".strip()
            cells.setdefault(f"{name}, {row.unit}" if row.unit else name, {})[row.sizes[across]] = figure(
                row.median, ""
            )
            columns[row.sizes[across]] = None
    head = (across, *(f"{column:,}" if isinstance(column, int) else str(column) for column in columns))
    return _table(head, [(name, *(line.get(column, "") for column in columns)) for name, line in cells.items()])


def _rows(rows: tuple[Row, ...], what: str, sizes: Mapping[str, Any]) -> str:
    chosen = [row for row in rows if row.matches(what, sizes)]
    lines = [
        (
            row.what,
            ", ".join(f"{key} {value}" for key, value in row.sizes.items() if key not in sizes),
            figure(row.median, row.unit),
        )
        for row in chosen
    ]
    return _table(("what", "at", "median"), lines)


def _table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    ruler = "|---" + "|---:" * (len(head) - 1) + "|"
    return "\n".join([f"| {' | '.join(head)} |", ruler, *(f"| {' | '.join(line)} |" for line in lines)])
