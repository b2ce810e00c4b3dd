# SPDX-License-Identifier: GPL-3.0-or-later
"""A look that is repeated for as long as the agent runs, and outlives what fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ..failures import FAILURES
from ..store import Held

log = logging.getLogger("splitway")


async def for_ever(every: float, look: Callable[[], Awaitable[None]], what: str) -> None:
    """Look every so many seconds. While others have the gateway that waits for the next look.

    What fails is told as `what`, and once: it is tried again at each look.
    """
    failure = ""
    while True:
        try:
            await look()
            failure = ""
        except Held:
            pass
        except FAILURES as error:
            if str(error) != failure:
                failure = str(error)
                log.error("%s: %s", what, error)
        await asyncio.sleep(every)
