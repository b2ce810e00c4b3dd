# SPDX-License-Identifier: GPL-3.0-or-later
"""The plots of docs/performance.md, SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import matplotlib
from matplotlib import pyplot

from performance.results import Result, Row

_WIDTH = 8  # inches
# The same input gives the same file; text stays text.
_SETTINGS = {"svg.hashsalt": "splitway", "svg.fonttype": "none", "axes.grid": True, "axes.spines.top": False}


@dataclass(frozen=True)
class Chart:
    """Medians as lines over one size, or as bars side by side."""

    name: str
    bench: str
    title: str
    unit: str
    what: str = ""  # how the figures' texts begin
    across: str = ""  # the size along the x axis; "": bars
    label: str = ""  # bars: the size that names them; "": the figures' texts
    split: str = ""  # a size whose values are lines, or bars, of their own
    sizes: Mapping[str, Any] = field(default_factory=dict)
    logarithmic: bool = False  # the figures; sizes always are
    height: int = 4  # inches


def draw(charts: tuple[Chart, ...], results: Mapping[str, Result], folder: Path) -> None:
    """Write one file a chart whose bench has a result."""
    folder.mkdir(exist_ok=True)
    with matplotlib.rc_context(_SETTINGS):
        for chart in charts:
            if chart.bench in results:
                _draw(chart, results[chart.bench], folder / f"{chart.name}.svg")


def _draw(chart: Chart, result: Result, path: Path) -> None:
    rows = [row for row in result.rows if row.matches(chart.what, chart.sizes) and row.unit == chart.unit]
    picture, axes = pyplot.subplots(figsize=(_WIDTH, chart.height), layout="constrained")
    (_lines if chart.across else _bars)(chart, rows, axes)
    axes.set_title(chart.title)
    picture.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(picture)


def _lines(chart: Chart, rows: list[Row], axes: Any) -> None:
    series: dict[str, list[tuple[Any, float]]] = {}
    for row in rows:
        if chart.across in row.sizes:
            series.setdefault(_label(chart, row), []).append((row.sizes[chart.across], row.median))
    for label, points in series.items():
        axes.plot(*zip(*sorted(points)), marker="o", label=label)
    axes.set_xscale("log")
    axes.set_yscale("log" if chart.logarithmic else "linear")
    if not chart.logarithmic:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(chart.across)
    axes.set_ylabel(chart.unit)
    if series:
        axes.legend()


def _bars(chart: Chart, rows: list[Row], axes: Any) -> None:
    def name(row: Row) -> str:
        return str(row.sizes[chart.label]) if chart.label else row.what[len(chart.what) :]

    names = list(dict.fromkeys(map(name, rows)))
    parts: list[Optional[str]] = list(dict.fromkeys(row.sizes.get(chart.split) for row in rows))
    height = 0.8 / max(1, len(parts))
    for number, part in enumerate(parts):
        chosen = [row for row in rows if row.sizes.get(chart.split) == part]
        places = [names.index(name(row)) + number * height for row in chosen]
        axes.barh(places, [row.median for row in chosen], height, label=part)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(names))], names)
    axes.invert_yaxis()
    axes.set_xscale("log" if chart.logarithmic else "linear")
    axes.set_xlabel(chart.unit)
    if chart.split:
        axes.legend()


def _label(chart: Chart, row: Row) -> str:
    name = row.what[len(chart.what) :]
    return f"{name} {row.sizes.get(chart.split, '')}".strip() if chart.split else name
