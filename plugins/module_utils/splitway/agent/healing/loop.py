# SPDX-License-Identifier: GPL-3.0-or-later
"""When to look and when to heal: events at once, a cheap look every few seconds, a deeper one every minute.

Every ten minutes all is compared, whatever the looks say.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Optional, TypeVar

from ... import audit
from ...failures import FAILURES
from ...present import present
from ...reconcile import nft
from ...reconcile.sets import glance
from ...reconcile.sets.model import IPSET
from ...state import SECTIONS, State, devices_of
from ...store import Store
from . import fingerprint, peers, watch
from .generation import Generation
from .heal import Healing, Refill, heal

LOOK = 4.0  # seconds between cheap looks; what they find is healed within 5
INSIDE = 55.0  # seconds between looks into what is dear to compare
WHOLE = 600.0  # seconds between whole comparisons
SETTLE = 0.1  # seconds that events have to gather: one fault is many of them
BUSY = 1.0  # seconds between looks whether a run of site.yml has ended
_DEVICES = frozenset(("upstreams", "server"))
LONGEST_PAUSE = 60.0  # seconds between attempts at what cannot be healed
WHOLE_GATEWAY = "gateway"  # in the place of a section, where none of them could be looked at

log = logging.getLogger("splitway")
T = TypeVar("T")
Worker = Callable[..., Awaitable[T]]
"""Runs a blocking function while nobody else of the agent changes the host."""


class Healer:
    """The loop that keeps the host as the generation says."""

    def __init__(self, store: Store, generation: Generation, endpoints: peers.Endpoints, refill: Refill) -> None:
        self._store, self._generation, self._endpoints, self._refill = store, generation, endpoints, refill
        self._events = watch.Events()
        self._wake = asyncio.Event()
        self._heard: set[str] = set()
        self._looks: fingerprint.Fingerprints = {}
        self._baseline: dict[str, object] = {}  # section → its look when it was in order
        self._ipsets = glance.Headers()
        self._headers: dict[str, glance.Header] = {}  # by ipset
        self.sizes: dict[str, int] = {}  # entries by ipset, at the last look
        self._contents: fingerprint.Fingerprints = {}
        self._contents_baseline: dict[str, object] = {}
        self._inside_at = self._whole_at = 0.0
        self._attempts: Counter[str] = Counter()  # section → failures, one after the other
        self._retry_at: dict[str, float] = {}
        self.failures: dict[str, str] = {}  # section → why it cannot be healed
        self.since: dict[str, float] = {}  # such a section → when that was first so, in seconds since the epoch
        self.healed: Counter[str] = Counter()  # section → changes brought back since the start
        self.refilled = 0  # learned addresses put back since the start
        self.readings = peers.Readings()  # of WireGuard, at the last look

    def listen(self) -> None:
        """Have the loop woken by the kernel's events."""
        loop = asyncio.get_running_loop()
        for channel in (self._events.route, self._events.nftables):
            loop.add_reader(channel, self._hear)

    def ask(self, sections: Collection[str] = SECTIONS) -> None:
        """Have these sections looked at closely, now."""
        self._heard.update(sections)
        self._wake.set()

    def _hear(self) -> None:
        heard = self._events.read(watch.ours(self._generation.state))
        if heard:
            self.ask(heard)

    async def run(self, worker: Worker[Optional[Healing]], changed: Callable[[], None]) -> None:
        """Look and heal for ever. `changed` is called when a run of site.yml published another generation."""
        pause, again = 0.0, 0
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
                await asyncio.sleep(SETTLE)
            except asyncio.TimeoutError:
                pass
            self._wake.clear()
            if self._generation.refresh():
                self._heard.update(SECTIONS)
                changed()
            done = await worker(self._look)
            pause = LOOK
            if done is None:
                again = 0
                continue
            if done.busy:
                pause = BUSY
            # What we changed ourselves is heard, too. With somebody who changes it again and again that is a fight:
            # rest longer each time, up to five times as long as it took.
            again = again + 1 if self._heard and not done.busy else 0
            await asyncio.sleep(min(min(again, 5) * done.seconds, LOOK))

    def _look(self) -> Optional[Healing]:
        """Look cheaply, and heal what was heard of or looks different. Blocks for up to seconds."""
        heard, self._heard, self._contents = self._heard, set(), {}
        state, now = self._generation.state, time.monotonic()
        if state == State() and not self._store.has_run():
            return None  # nothing is known of what should be
        suspected = self._suspected(state, heard, now)
        whole = now - self._whole_at >= WHOLE
        if not suspected and not whole and not self._store.has_run():
            return None
        looked_at = frozenset(SECTIONS) if whole else frozenset(suspected)
        done = self._heal(state, looked_at, now)
        if done is None or done.busy:
            self._heard |= suspected
            return done
        if whole:
            self._whole_at = now
        for looks, baseline in ((self._looks, self._baseline), (self._contents, self._contents_baseline)):
            _settle(looks, baseline, looked_at, done)
        self._note(done, (*looked_at, WHOLE_GATEWAY), now)
        if _DEVICES & done.changes.keys():
            try:
                self._read_peers()
            except FAILURES as error:
                log.warning("looking at the peers: %s", error)
        elif _DEVICES.issubset(looked_at) and not _DEVICES & done.failures.keys():
            self._endpoints.forget(self.readings)
        return done

    def _heal(self, state: State, sections: Collection[str], now: float) -> Optional[Healing]:
        """Heal these sections; None while that cannot even begin: a run whose time is up cannot be rolled back."""
        if self._store.has_run() and now < self._retry_at.get(WHOLE_GATEWAY, now):
            return None
        try:
            return heal(self._store, lambda: state if self._generation.current else None, sections, self._refill)
        except FAILURES as error:
            self._note(Healing(failures={WHOLE_GATEWAY: str(error)}), (WHOLE_GATEWAY,), now)
            return None

    def _read_peers(self) -> peers.Readings:
        """Read WireGuard's peers; those that were made anew get the endpoints that they had."""
        system = self._store.system
        readings = peers.read(system, self.readings)
        self._endpoints.remember(readings)
        ours = {device.interface for device in devices_of(self._generation.state)}
        if self._store.transaction() is None and self._endpoints.restore(system, readings, ours):
            readings = peers.read(system, readings)
        self.readings = readings
        return readings

    def _suspected(self, state: State, heard: set[str], now: float) -> set[str]:
        """Return the sections that may be out of order, but those for whose next attempt it is too early."""
        try:
            found = heard | self._different(state)
            if now - self._inside_at >= INSIDE:
                found |= self._different_inside(state)
                self._inside_at = now
        except FAILURES as error:
            log.warning("looking at the host: %s", error)
            found = set(SECTIONS)
        found |= {section for section, at in self._retry_at.items() if now >= at}
        return found - {section for section, at in self._retry_at.items() if now < at and section not in heard}

    def _different(self, state: State) -> set[str]:
        state = present(self._store, state)
        readings = self._read_peers()
        # The other backend tells of changes.
        headers = self._ipsets.read(self._store.system) if state.backend == IPSET else {}
        looks = fingerprint.take(self._store.system, state, readings, headers)
        found = _differing(looks, self._baseline)
        if headers is not self._headers:
            if fingerprint.emptied(self._headers, headers):
                found.add("sets")
            self.sizes = {name: header.entries for name, header in headers.items()}
        self._headers, self._looks = headers, looks
        return found

    def _different_inside(self, state: State) -> set[str]:
        system, state = self._store.system, present(self._store, state)
        if self._events.heard is None:  # what was lost is compared now; from here on each change is counted
            self._events.heard = nft.generation(system)
            self._contents_baseline.clear()
        self._contents = fingerprint.content(system, state, self._headers, self._events)
        # Routes are cheap to compare, and their events have no number that shows a gap.
        return _differing(self._contents, self._contents_baseline) | {"routes"}

    def _note(self, done: Healing, looked_at: Collection[str], now: float) -> None:
        if done.rolled_back:
            log.warning("a run had not ended or not been confirmed in time: the generation before it is in force again")
        for section, changes in done.changes.items():
            self.healed[section] += len(changes)
            log.warning("healed %s: %s", section, "; ".join(f"{change.action} {change.what}" for change in changes[:5]))
            entry = audit.Entry(audit.Reason("agent", "healed"), section, changes, states=(self._generation.state,))
            audit.record(self._store.system, entry, self._store.system.now())
        self.refilled += done.refilled
        if done.refilled:
            log.warning("healed sets: %d learned addresses put back", done.refilled)
        for section, message in done.failures.items():
            self._attempts[section] += 1
            self._retry_at[section] = now + min(LONGEST_PAUSE, 2.0 ** self._attempts[section])
            if self.failures.get(section) != message:
                log.error("cannot heal %s: %s", section, message)
        for section in set(looked_at) - done.failures.keys():
            del self._attempts[section]
            self._retry_at.pop(section, None)
        before = {section: message for section, message in self.failures.items() if section not in looked_at}
        self.failures = {**before, **done.failures}
        wall = self._store.system.now()
        self.since = {section: self.since.get(section, wall) for section in self.failures}


def _differing(looks: fingerprint.Fingerprints, baseline: Mapping[str, object]) -> set[str]:
    """Return the sections that do not look as they did when they were in order."""
    return {section for section, look in looks.items() if look is None or look != baseline.get(section)}


def _settle(
    looks: fingerprint.Fingerprints, baseline: dict[str, object], looked_at: Collection[str], done: Healing
) -> None:
    """Take a look for that of a section in order if a comparison *after* it found nothing: no fault slips through."""
    for section in looked_at:
        if section in done.changes or section in done.failures:
            baseline.pop(section, None)
        elif section in looks:
            baseline[section] = looks[section]
