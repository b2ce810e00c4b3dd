# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks through a tunnel how large a packet may be: echoes of several sizes at once, a small one always among them.

Only where the small one comes back does the silence of a large one mean anything: a tunnel that is down is not narrow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import NamedTuple, Optional

from . import echo

TRIES = 3
SMALL = 64  # bytes
SLOWER = 4.0  # times as long as a small packet a large one may take, and LATER seconds more
LATER = 0.25
SLOWEST = 62500  # bytes a second that the tunnel carries at least


class Passed(NamedTuple):
    """What came back."""

    small: tuple[str, ...]  # the small packet, from these addresses
    most: int  # bytes of the largest packet, 0: none but the small one


async def ask(interface: str, addresses: Collection[str], sizes: Collection[int], timeout: float) -> Passed:
    """Send IP packets of these sizes (bytes) through an interface to all addresses; return what came back.

    `timeout`: seconds for each of the TRIES. One address that answers is enough.
    """
    echoes = echo.Echoes(interface)
    asking = _Asking(echoes)
    try:
        for _ in range(TRIES):
            await asking.once(addresses, sizes, timeout)
            if asking.most >= max(sizes):
                break
    finally:
        echoes.close()
    return Passed(tuple(asking.small), asking.most)


class _Asking:
    def __init__(self, echoes: echo.Echoes) -> None:
        self.small: list[str] = []  # addresses
        self.most = 0
        self._echoes = echoes
        self._sent: dict[echo.Identity, tuple[str, int]] = {}  # request → address, size
        self._done = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._wanted = 0
        self._volume = 0  # bytes sent in this try
        self._timer: Optional[asyncio.TimerHandle] = None
        echoes.hear = self._hear

    async def once(self, addresses: Collection[str], sizes: Collection[int], timeout: float) -> None:
        self._done.clear()
        self._began, self._wanted = self._loop.time(), max(sizes)
        self._volume = (SMALL + sum(sizes)) * len(addresses)
        for address in addresses:
            for size in (SMALL, *sizes):
                try:
                    self._sent[self._echoes.send(address, size)] = (address, size)
                except OSError:  # no interface, no route, no address of this family
                    break
        self._timer = self._loop.call_later(timeout, self._done.set)
        try:
            await self._done.wait()
        finally:
            self._timer.cancel()

    def _hear(self, heard: echo.Heard, origin: str) -> None:
        address, size = self._sent.get(heard.identity, ("", 0))
        if heard.refused or origin != address:
            return
        if size == SMALL:
            self.small += [address] if address not in self.small else []
            self._hurry()
        else:
            self.most = max(self.most, size)
            if self.most >= self._wanted:
                self._done.set()

    def _hurry(self) -> None:
        """Wait no longer than a large packet takes where a small one took as long as this."""
        took = self._loop.time() - self._began
        deadline = self._began + SLOWER * took + LATER + self._volume / SLOWEST
        if self._timer is not None and deadline < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._done.set)
