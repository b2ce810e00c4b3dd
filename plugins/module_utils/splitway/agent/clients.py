# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients' time: whose is up is no peer any more, and who has two keys has his addresses where he shook hands last.

A second's look at the clock and, while somebody has two keys, at their handshakes. What differs is brought into the
kernel by the reconciler, which moves addresses from key to key without touching either's session; the flows of a client
whose time is up end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Optional

from .. import audit
from ..clients import PREVIOUS, Holders, ended, in_grace, with_clients
from ..reconcile import flows
from ..state import Device, Peer, State
from ..store import Store
from ..system import System
from .differing import bring
from .for_ever import for_ever
from .healing.generation import Generation

EVERY = 1.0  # seconds between looks
PATIENCE = 2.0  # seconds for a step of a run to end; else at the next look
_SECTION = "server"

log = logging.getLogger("splitway")
Worker = Callable[..., Awaitable[Any]]
Handshakes = Mapping[str, int]
"""Public key → its last handshake, in seconds since the epoch; 0: none yet."""


class Clients:
    """Knows whose time was up, and which keys had the addresses, at the last look."""

    def __init__(self, store: Store, generation: Generation) -> None:
        self._store, self._generation = store, generation
        self._looked_at: Optional[State] = None
        self._timed: Optional[Device] = None  # the server with those clients only that a moment or two keys concern
        self._ended: frozenset[str] = frozenset()
        self._at = store.system.now()
        self._handshakes: Handshakes = {}

    async def run(self, worker: Worker) -> None:
        """Look for ever."""

        async def look() -> None:
            if await asyncio.to_thread(self.differs):
                await worker(self.go_over)

        await for_ever(EVERY, look, "the clients' keys")

    def differs(self) -> bool:
        """Return whether somebody's time is up, or is not any more, or another key of somebody's shook hands."""
        state = self._generation.state
        if state is not self._looked_at:
            self._looked_at, self._timed = state, _timed(state.server)
        if self._timed is None:
            self._ended = frozenset()
            return False
        now = self._store.system.now()
        if ended(self._timed, now) != self._ended:
            return True
        seen = self._read(self._timed, now)
        if self._holders(self._timed, now, seen) != self._store.kept.holders.read():
            return True
        self._handshakes = seen
        return False

    def _read(self, server: Device, now: float) -> Handshakes:
        """Return the handshakes of the interface, nothing while nobody has two keys. Raises SystemFailure."""
        return handshakes(self._store.system, server) if any(in_grace(peer, now) for peer in server.peers) else {}

    def _holders(self, server: Device, now: float, seen: Handshakes) -> dict[str, str]:
        known = self._store.kept.holders.read()
        found = {
            peer.name: holder(peer, known.get(peer.name), self._handshakes, seen)
            for peer in server.peers
            if in_grace(peer, now)
        }
        return {name: key for name, key in found.items() if key is not None}

    def go_over(self) -> None:
        """Bring the peers of now into the kernel. Raises Held, and nothing was done, when others have the gateway."""
        with self._store.lock(PATIENCE):
            state = self._store.staged((_SECTION,))
            server, now = _timed(state.server), self._store.system.now()
            before, over = self._store.kept.holders.read(), ended(server, now)
            if server is None:
                return
            seen = self._read(server, now)
            after = self._holders(server, now, seen)
            if after != before:
                self._store.kept.holders.write(after)
            old, new = with_clients(state, before, self._at), with_clients(state, after, now)
            failures: list[Exception] = []
            changes = bring(self._store, (_SECTION,), state, old, new, failures).get(_SECTION, ())
            gone = over - self._ended
            ending = _end(self._store.system, [peer for peer in server.peers if peer.name in gone])
            if failures:
                raise failures[0]
            told = _words(self._ended, over, before, after)
            self._ended, self._at, self._handshakes = over, now, seen
        if changes or ending:
            reason = audit.Reason("agent", told)
            audit.record(self._store.system, audit.Entry(reason, _SECTION, changes, states=(state,)), now)
            log.info("clients: %s; %d flows ended", told, ending)


def _timed(server: Optional[Device]) -> Optional[Device]:
    """Return the server with those clients whose time will be up, or who have two keys; None without any."""
    if server is None or server.adopted:
        return None
    peers = tuple(peer for peer in server.peers if peer.expires is not None or peer.previous is not None)
    return Device(server.name, server.interface, None, server.addresses, peers) if peers else None


def handshakes(system: System, server: Device) -> Handshakes:
    """Return the last handshake of each peer of the clients' interface. Raises SystemFailure."""
    lines = system.read("wg", "show", server.interface, "latest-handshakes").splitlines()
    return {key: int(at) for key, _, at in (line.partition("\t") for line in lines)}


def holder(peer: Peer, now: Optional[str], before: Handshakes, seen: Handshakes) -> Optional[str]:
    """Return the key that is to have a client's addresses: the one that shook hands last. None: the previous one.

    `now`: the key that has them. If one of the two has shaken hands since the last look, it is that one, whatever time
    WireGuard tells: in whole seconds, of a clock that may be set. Where both have, or there was no look, time decides.
    """
    if peer.previous is None or peer.public_key is None:
        return None
    old, new = peer.previous.public_key, peer.public_key
    was, at = (tuple(found.get(key, 0) for key in (old, new)) for found in (before, seen))
    moved = tuple(found not in (0, known) for found, known in zip(at, was))
    if before and moved[0] != moved[1]:
        return new if moved[1] else None
    if at[0] == at[1] or (before and not any(moved)):
        return new if now == new else None
    return new if at[1] > at[0] else None


def _end(system: System, gone: list[Peer]) -> int:
    """Delete the flows from and to clients whose time is up; return how many there were."""
    addresses = {network.partition("/")[0] for peer in gone for network in peer.allowed_ips}
    if not addresses:
        return 0
    found = flows.of_addresses(system, addresses)
    flows.apply(system, found)
    return len(found)


def _words(was: frozenset[str], now: frozenset[str], before: Holders, after: Holders) -> str:
    parts = [f"the time of {name} is up" for name in sorted(now - was)]
    parts += [f"{name} has time again" for name in sorted(was - now)]
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name) and f"{name}{PREVIOUS}" not in now:
            parts.append(f"{name} comes with {'its new key' if name in after else 'its previous key'}")
    return ", ".join(parts) or "as before"
