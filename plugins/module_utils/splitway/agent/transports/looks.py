# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at several things, each by itself: one that takes its time keeps no other waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

Look = Callable[[], Coroutine[Any, Any, None]]


async def look_by_itself(every: float, due: Callable[[], Mapping[str, Look]]) -> None:
    """Begin what is due (name → look) every so many seconds, for ever; never two looks at one thing at once.

    Raises what a look raises.
    """
    looks: dict[str, asyncio.Task[None]] = {}
    while True:
        await asyncio.sleep(every)
        for name, look in list(looks.items()):
            if look.done():
                looks.pop(name).result()
        for name, begin in due().items():
            if name not in looks:
                looks[name] = asyncio.create_task(begin())
