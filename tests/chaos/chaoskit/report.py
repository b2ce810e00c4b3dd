# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outcome of each fault: judged, printed as a table, kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from labkit.hosts import ROOT

FILES = ROOT / ".cache" / "results"


@dataclass(frozen=True)
class Outcome:
    """What came of one fault. Times are seconds after its injection."""

    fault: str
    backend: str
    healed: float  # until what was broken was back
    limit: float  # until when it had to be
    pause: float  # the longest that one of the flows went without an answer
    leaked: tuple[str, ...]  # packets by ways that the policies forbid
    excused: int = 0  # packets of that kind to addresses of a set that was emptied
    excused_for: float = 0.0  # seconds from the first of those to the last
    broken: tuple[str, ...] = ()  # flows that the fault was none of
    drift: str = ""  # what is not as it should be afterwards

    @property
    def only_late(self) -> bool:
        """Whether it took too long, and nothing else is wrong: as it looks when the machine stood still, too."""
        return bool(self.faults()) and not (self.leaked or self.broken)

    def faults(self) -> list[str]:
        """Returns what is wrong with the outcome, a line each."""
        found = []
        if self.healed > self.limit:
            found.append(f"healed after {self.healed:.2f} s; the limit is {self.limit:g} s")
        if self.leaked:
            found.append(f"leaked {len(self.leaked)} packets, the first: {'; '.join(self.leaked[:5])}")
        if self.broken:
            found.append(f"broke {len(self.broken)} flows of others: {'; '.join(self.broken[:5])}")
        if self.drift:
            found.append(f"drift: {self.drift}")
        return found


OUTCOMES: list[Outcome] = []


def table() -> list[str]:
    """Returns the table of all outcomes, line by line."""
    head = f"{'fault':56}{'backend':10}{'healed':>9}{'pause':>9}{'leaked':>8}{'broken':>8}"
    lines = [head]
    for one in OUTCOMES:
        excused = f"  {one.excused} more excused, in {one.excused_for:.1f} s" if one.excused else ""
        numbers = f"{one.healed:7.2f} s{one.pause:7.2f} s{len(one.leaked):>8}{len(one.broken):>8}"
        lines.append(f"{one.fault:56}{one.backend:10}{numbers}{excused}")
    return lines


def keep() -> None:
    """Writes the outcomes to .cache/results/chaos-BACKEND.json."""
    FILES.mkdir(parents=True, exist_ok=True)
    for backend in {one.backend for one in OUTCOMES}:
        these = [asdict(one) for one in OUTCOMES if one.backend == backend]
        text = json.dumps(these, indent=1, ensure_ascii=False)
        (FILES / f"chaos-{backend}.json").write_text(f"{text}\n", encoding="utf-8")
