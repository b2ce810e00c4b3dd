# SPDX-License-Identifier: GPL-3.0-or-later
"""One bench: its options, the rows that it measured, the targets that it reached or missed."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Optional, Union

from benchkit import REPOSITORY
from benchkit.machine import machine, versions

RESULTS = REPOSITORY / "bench/results"
Size = Union[int, str, bool]


def numbers(text: str) -> list[int]:
    """Return the numbers of an option like `1,100,5000`."""
    return [int(number) for number in text.split(",")]


class Bench:
    """Collects what one bench measures; `finish` writes `bench/results/NAME.json` and prints the table."""

    def __init__(self, name: str, description: Optional[str], rounds: int = 5) -> None:
        self.name = name
        self.parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.parser.add_argument("--rounds", type=int, default=rounds, help="measurements of each figure (%(default)s)")
        self.parser.add_argument("--seed", type=int, default=1, help="of whatever is drawn by chance (%(default)s)")
        self.parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON (bench/results)")
        self.options = argparse.Namespace()
        self.rows: list[dict[str, Any]] = []
        self.targets: list[dict[str, Any]] = []

    def parse(self) -> argparse.Namespace:
        """Return the options of the command line; options of the bench itself are added to `parser` before."""
        self.options = self.parser.parse_args()
        self._started = time.time()
        return self.options

    def row(self, what: str, samples: Sequence[float], unit: str, **sizes: Size) -> float:
        """Record and print the samples of one figure at some sizes; return their median."""
        middle = median(samples)
        self.rows.append(
            {
                "what": what,
                **sizes,
                "unit": unit,
                "median": _short(middle),
                "min": _short(min(samples)),
                "max": _short(max(samples)),
                "samples": [_short(sample) for sample in samples],
            }
        )
        where = ", ".join(f"{name} {size}" for name, size in sizes.items())
        print(f"{what:34} {where:44} {figure(middle, unit):>14}  ({figure(min(samples), '')} to "
              f"{figure(max(samples), '')}, {len(samples)})", flush=True)  # fmt: skip
        return middle

    def target(
        self, what: str, value: float, unit: str, *, at_most: Optional[float] = None, at_least: Optional[float] = None
    ) -> None:
        """Record whether a measured figure (usually a median or a ratio of two) is within its bound."""
        reached = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        bounds = {"at_most": at_most, "at_least": at_least}
        self.targets.append({"what": what, "value": _short(value), "unit": unit, **bounds, "reached": reached})

    def finish(self) -> None:
        """Print the targets and write everything to the results' folder."""
        for target in self.targets:
            bound = " and ".join(
                f"{word} {figure(target[key], target['unit'])}"
                for key, word in (("at_most", "≤"), ("at_least", "≥"))
                if target[key] is not None
            )
            verdict = "reached" if target["reached"] else "MISSED"
            print(f"{verdict:8} {target['what']}: {figure(target['value'], target['unit'])}, to be {bound}")
        options = {name: value for name, value in vars(self.options).items() if name != "results"}
        content = {
            "bench": self.name,
            "machine": machine(),
            "versions": versions(),
            "options": options,
            "took": round(time.time() - self._started),
            "targets": self.targets,
            "rows": self.rows,
        }
        self.options.results.mkdir(parents=True, exist_ok=True)
        path = self.options.results / f"{self.name}.json"
        path.write_text(_json(content), encoding="utf-8")


def figure(value: float, unit: str) -> str:
    """Return a number with three significant digits and its unit, for people."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _json(content: dict[str, Any]) -> str:
    """Return JSON that is one line a row, so that two results can be compared by `diff`."""
    lines = []
    for key, value in content.items():
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(f"  {json.dumps(entry, ensure_ascii=False)}" for entry in value) + "\n ]"
        else:
            text = json.dumps(value, ensure_ascii=False)
        lines.append(f' "{key}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}\n"
