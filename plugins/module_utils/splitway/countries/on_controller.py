# SPDX-License-Identifier: GPL-3.0-or-later
"""Countries whose data is read on the controller, and goes to the gateways with the topology."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from ..state import CountryData, to_data
from ..system import System
from . import kept
from .refresh import lacking, refresh
from .sources import is_as_it_was

FRESH = 600.0  # seconds for which what was fetched for one host's topology will do for the next host's


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
        now, note = system.now(), kept.note(system)
        same = all(is_as_it_was(source, note.stamps.get(source.location, "")) for source in data.sources)
        if lacking(system, data, wanted) or not (same and 0 <= now - note.good < FRESH):
            refresh(system, data, wanted, now)
    return partial(kept.networks, system), kept.note(system).problem
