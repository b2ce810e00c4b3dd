# SPDX-License-Identifier: GPL-3.0-or-later
"""Countries whose data is read on the controller, and goes to the gateways with the topology."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from ..state import CountryData, to_data
from ..system import System
from . import kept
from .refresh import lacking, refresh

FRESH = 600.0  # seconds for which what one host's topology had read will do for the next host's


def on_controller(
    data: CountryData, wanted: Collection[str], cache: Path
) -> tuple[Callable[[str, int], tuple[str, ...]], str]:
    """Return (country, family) → networks, and why older data is used than there should be; "": it is not.

    The last good data lives in a folder of `cache`, one for each list of sources. Raises CountryError when a country
    has no data, new or old.
    """
    identity = hashlib.sha256(json.dumps(to_data(data.sources)).encode()).hexdigest()[:16]
    system = System(data=cache / identity)
    with kept.alone(system):
        now = time.time()
        if lacking(system, data, wanted) or not 0 <= now - kept.note(system).good < FRESH:
            refresh(system, data, wanted, now)
    return partial(kept.networks, system), kept.note(system).problem
