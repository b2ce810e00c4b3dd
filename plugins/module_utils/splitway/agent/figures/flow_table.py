# SPDX-License-Identifier: GPL-3.0-or-later
"""How full the kernel's table of flows is. What finds no room in it is dropped: it leaves by no other way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...system import System

_STATISTICS = Path("/proc/thread-self/net/stat/nf_conntrack")  # a heading, then a line a processor, hexadecimal


@dataclass(frozen=True)
class FlowTable:
    """All flows of the host, clients' or not."""

    flows: int
    most: int  # nf_conntrack_max; the kernel then ends flows that nobody has answered, and refuses new ones
    refused: int  # packets that were dropped for want of room, since the host was booted


def read(system: System) -> Optional[FlowTable]:
    """Return how full the table is; None where the kernel has none."""
    flows, most = (system.sysctl(f"net/netfilter/nf_conntrack_{name}") for name in ("count", "max"))
    if flows is None or most is None:
        return None
    lines = (system.read_file(_STATISTICS) or "").splitlines()
    column = lines[0].split().index("drop") if lines else 0
    return FlowTable(int(flows), int(most), sum(int(line.split()[column], 16) for line in lines[1:]))
