# SPDX-License-Identifier: GPL-3.0-or-later
"""What lists hold and what of their sources is left out, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..topology.model import List
from .entries import MISTAKE
from .loading import Loaded

FIRST = 3  # mistakes that a warning shows


def counted(loaded: Mapping[str, Loaded]) -> dict[str, dict[str, int]]:
    """Return for each list that leaves entries out how many, by kind."""
    return {name: found.entries.counted() for name, found in loaded.items() if found.entries.skipped}


def described(lists: Iterable[List], loaded: Mapping[str, Loaded]) -> dict[str, dict[str, Any]]:
    """Return what each list holds, and every entry of its sources that is left out."""
    return {entry.name: _described(entry, loaded.get(entry.name)) for entry in lists}


def warnings(name: str, found: Loaded) -> list[str]:
    """Return what an operator should know about a list's sources without asking."""
    said = [f"splitway_lists.{name}: {warning}" for warning in found.warnings]
    mistakes = found.entries.mistakes
    if mistakes:
        first = "; ".join(map(str, mistakes[:FIRST]))
        rest = "; …" if len(mistakes) > FIRST else ""
        said.append(f"splitway_lists.{name}: {_entries(len(mistakes))} left out: {first}{rest}")
    return said


def summary(loaded: Mapping[str, Loaded]) -> str:
    """Return one line on what DNS cannot do in some lists; empty if there is nothing."""
    total: Counter[str] = Counter()
    for found in loaded.values():
        total.update(entry.kind for entry in found.entries.skipped if entry.kind != MISTAKE)
    if not total:
        return ""
    names = sorted(name for name, found in loaded.items() if len(found.entries.skipped) > len(found.entries.mistakes))
    shown = ", ".join(names[:FIRST]) + (f" and {len(names) - FIRST} more" if len(names) > FIRST else "")
    kinds = ", ".join(f"{count} {kind}" for kind, count in total.most_common())
    return f"splitway_lists ({shown}): what DNS cannot do is left out: {kinds}. The playbook lists names each."


def _described(entry: List, found: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"domains": len(entry.domains), "networks": len(entry.networks)}
    text = f"{entry.name}: {len(entry.domains)} domains, {len(entry.networks)} networks"
    if isinstance(found, Loaded):
        said["formats"] = list(found.formats)
        said["widened"] = found.entries.widened
        said["left_out"] = found.entries.counted()
        said["entries"] = [str(skipped) for skipped in found.entries.skipped]
        said["warnings"] = list(found.warnings)
        text += f", from {' and '.join(found.formats)}"
        if found.entries.widened:
            text += f"; {found.entries.widened} meant alone hold what is below them, too"
        if said["left_out"]:
            text += "; left out: " + ", ".join(f"{count} {kind}" for kind, count in said["left_out"].items())
    return {**said, "summary": text}


def _entries(count: int) -> str:
    return "1 entry is" if count == 1 else f"{count} entries are"
