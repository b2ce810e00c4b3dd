# SPDX-License-Identifier: GPL-3.0-or-later
"""The moment whose rules the agent brought last: what began by them is judged from there.

Without it, whoever was not there when an hour began, an agent that starts or a run of site.yml while there is none,
would take the flows of the hour before for this hour's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from .system import System


def last(system: System) -> Optional[float]:
    """Return that time, in seconds since the epoch; None when it is not known."""
    try:
        return float(int(system.read_file(_file(system)) or ""))
    except ValueError:
        return None


def keep(system: System, now: float) -> None:
    """Keep a time, in seconds since the epoch, as that of the rules in the kernel."""
    system.write_file(_file(system), f"{int(now)}\n")


def _file(system: System) -> Path:
    return system.runtime / "moment"  # gone after a reboot, as the flows are
