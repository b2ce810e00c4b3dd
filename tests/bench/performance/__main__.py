# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/performance.md and its plots from bench/results; run as `make performance`."""

from __future__ import annotations

from performance.charts import CHARTS
from performance.document import DOCUMENT, PLOTS, render
from performance.plots import draw
from performance.results import load

if __name__ == "__main__":
    results = load()
    DOCUMENT.write_text(render(results), encoding="utf-8")
    draw(CHARTS, results, PLOTS)
