# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benches measured, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

RESULTS = Path(__file__).parents[3] / "bench/results"
_FIGURES = ("what", "unit", "median", "min", "max", "samples")


@dataclass(frozen=True)
class Row:
    """One figure at some sizes."""

    what: str
    unit: str
    median: float
    sizes: Mapping[str, Any]

    def matches(self, what: str, sizes: Mapping[str, Any]) -> bool:
        """Return whether its text begins so and its sizes are these; other sizes may be any."""
        return self.what.startswith(what) and all(self.sizes.get(key) == value for key, value in sizes.items())


@dataclass(frozen=True)
class Target:
    """One number that was to be reached."""

    what: str
    value: float
    unit: str
    at_most: Optional[float]
    at_least: Optional[float]
    reached: bool


@dataclass(frozen=True)
class Result:
    """One bench's result."""

    bench: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    options: Mapping[str, Any]
    rows: tuple[Row, ...]
    targets: tuple[Target, ...]


def load(folder: Path = RESULTS) -> dict[str, Result]:
    """Return bench → result."""
    return {path.stem: _result(json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))}


def _result(data: Mapping[str, Any]) -> Result:
    rows = tuple(
        Row(row["what"], row["unit"], row["median"], {key: row[key] for key in row if key not in _FIGURES})
        for row in data["rows"]
    )
    targets = tuple(Target(**target) for target in data["targets"])
    return Result(data["bench"], data["machine"], data["versions"], data["options"], rows, targets)
