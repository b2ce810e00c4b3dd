# SPDX-License-Identifier: GPL-3.0-or-later
"""The scores of addresses, kept across restarts: one file, of a bounded size. A damaged one is begun anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...system import System
from .scores import Score

MOST = 20_000  # addresses; those that were tried last. About 1.5 MB.
LONGEST = 7 * 86400.0  # seconds after the last try for which a score is kept
VERSION = 1

Key = tuple[int, str]
"""The number of the egress through which it is tried, and the address."""

Scores = dict[Key, Score]


class Damaged(ValueError):
    """The file is none of ours, or not whole."""


def location(system: System) -> Path:
    """Return the file of a gateway's scores."""
    return system.data / "scores.json"


def load(system: System) -> Scores:
    """Return the scores that were kept; none where there is no file. Raises Damaged."""
    text = system.read_file(location(system))
    if text is None:
        return {}
    try:
        plain: Any = json.loads(text)
        if plain["version"] != VERSION:
            raise Damaged(f"{location(system)}: its version is {plain['version']}, not {VERSION}")
        return {(int(row[0]), str(row[1])): _score(row[2:]) for row in plain["scores"]}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Damaged(f"{location(system)} is damaged: {error}") from error


def _score(row: Any) -> Score:
    success, connect, tried, failures = row
    return Score(float(success), None if connect is None else float(connect), float(tried), int(failures))


def worth_keeping(scores: Mapping[Key, Score], now: float) -> Scores:
    """Return the scores that are neither old nor too many."""
    young = ((key, score) for key, score in scores.items() if now - score.tried < LONGEST)
    return dict(sorted(young, key=lambda item: -item[1].tried)[:MOST])


def save(system: System, scores: Mapping[Key, Score]) -> None:
    """Keep scores. Raises SystemFailure and OSError."""
    rows = [
        [
            *key,
            round(score.success, 4),
            None if score.connect is None else round(score.connect, 5),
            round(score.tried),
            score.failures,
        ]
        for key, score in scores.items()
    ]
    system.write_file(location(system), json.dumps({"version": VERSION, "scores": rows}, separators=(",", ":")))
