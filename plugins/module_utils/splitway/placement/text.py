# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan in words for its operator, and as data for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from .model import NEW, REMOVED, Change, Gateway, Place, Plan, gateways_of
from .planning import limit

MOST_NEW = 100  # new clients that are named one by one


def lines(plan: Plan, gateways: Iterable[Gateway]) -> list[str]:
    """Return the plan: what changes for whom and why, then what each gateway has."""
    whys = Counter(change.why for change in plan.changes)
    stay = len(plan.placement) - sum(1 for change in plan.changes if change.after)
    counted = ", ".join(f"{whys[why]} {why}" for why in sorted(whys))
    found = [f"{len(plan.placement)} clients: {stay} stay as they are{counted and f', {counted}'}"]
    new = sum(1 for change in plan.changes if change.why == NEW)
    named = [change for change in plan.changes if change.why != NEW or new <= MOST_NEW]
    found += [f"{change.client}: {_moved(change)} ({change.why})" for change in named]
    table = [("gateway", "region", "weight", "before", "after", "takes")]
    known = {gateway.name: gateway for gateway in gateways}
    for name, (before, after) in plan.counts.items():
        table.append((name, *_described(known, name, before, after)))
    files = [f"{change.client} ({', '.join(change.new_files)})" for change in _with_new_files(plan)]
    if files:
        who = "1 client that was" if len(files) == 1 else f"{len(files)} clients that were"
        found.append(f"new files for {who} there before: {', '.join(files)}")
    widths = [max(map(len, column)) for column in zip(*table)]
    return found + ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table]


def _described(known: dict[str, Gateway], name: str, before: int, after: int) -> tuple[str, str, str, str, str]:
    if name not in known:
        return "", "", str(before), str(after), "gone"
    gateway = known[name]
    takes = "drained" if gateway.drain else str(limit(gateway))
    return gateway.region or "", f"{gateway.weight:g}", str(before), str(after), takes


def _moved(change: Change) -> str:
    if change.why == REMOVED:
        return f"leaves {_named(change.before)}"
    before, after = _named(change.before), _named(change.after)
    return f"{before} → {after}" if before and before != after else after


def _named(places: Sequence[Place]) -> str:
    return ", ".join(gateways_of(tuple(places)))


def _with_new_files(plan: Plan) -> list[Change]:
    """Return the changes of clients whose devices need other files than they have."""
    return [change for change in plan.changes if change.before and change.new_files]


def data(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain data."""
    return {
        "changes": [
            {
                "client": change.client,
                "before": list(gateways_of(change.before)),
                "after": list(gateways_of(change.after)),
                "why": change.why,
                "moves": change.moves,
                "new_files": list(change.new_files),
            }
            for change in plan.changes
        ],
        "moves": [change.client for change in plan.changes if change.moves],
        "counts": {name: {"before": before, "after": after} for name, (before, after) in plan.counts.items()},
        "clients": len(plan.placement),
    }
