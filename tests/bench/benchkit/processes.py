# SPDX-License-Identifier: GPL-3.0-or-later
"""What processes take: processor time and memory, as /proc has them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def processor(process: int) -> tuple[float, float]:
    """Return the seconds of processor time of a process, and of its ended children."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    own_user, own_system, children_user, children_system = (int(field) / ticks for field in fields[11:15])
    return own_user + own_system, children_user + children_system


def memory(processes: Iterable[int]) -> float:
    """Return the proportional set size (PSS) of processes together, in MB; those that have ended count nothing."""
    total = 0
    for process in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
            total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024
