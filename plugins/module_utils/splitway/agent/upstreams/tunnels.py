# SPDX-License-Identifier: GPL-3.0-or-later
"""Health and failover at work: each upstream is probed by its own clock, and what that says is acted on at once."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

from ... import audit
from ...choices import Choices
from ...failures import FAILURES
from ...present import tunnels_of
from ...state import Group, State, Target, Watch
from ...store import Store
from ...transports import by_websocket
from ..healing.loop import Healer, Worker
from . import failover, probes, repair
from .health import DOWN, UP, Health, Reading, Round, judge
from .switch import Switched, switch

TOGETHER = 4  # parts of an interval in which the rounds begin: waking up once for some costs less than for each
DECIDE = 0.5  # seconds between decisions while no upstream comes to another state: holds and latencies are slow

log = logging.getLogger("splitway")


class Tunnels:
    """The upstreams' health, and the ways that follow from it."""

    def __init__(self, store: Store, healer: Healer, worker: Worker[Any]) -> None:
        self._store, self._healer, self._worker = store, healer, worker
        self._state = State()
        self._tasks: dict[Watch, asyncio.Task[None]] = {}
        self._memory: failover.Memory = {}
        self._deciding = asyncio.Lock()
        self._decided_at = 0.0
        self._plain: Mapping[int, str] = {}
        self._repairs: dict[str, repair.History] = {}
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._switched: Callable[[], None] = lambda: None
        self.health: dict[str, Health] = {}
        self.restarts: Counter[str] = Counter()  # upstream → repairs since the start
        self.switches: Counter[str] = Counter()  # group → changes of its ways since the start
        self.choices: Choices = store.kept.choices.read()
        self._settled = True  # whether the kernel goes by them

    def configure(self, state: State) -> None:
        """Go by another generation from now on. Upstreams whose watch is the same are watched on."""
        first = self._state == State()
        self._state, self._plain = state, _plain(state)
        watches = state.agent.watches if state.agent else ()
        for watch in [watch for watch in self._tasks if watch not in watches]:
            self._tasks.pop(watch).cancel()
        now = time.monotonic()
        kept = {watch.upstream: self.health[watch.upstream] for watch in watches if watch in self._tasks}
        self.health = {watch.upstream: kept.get(watch.upstream, Health(watch, now)) for watch in watches}
        for watch in watches:
            if watch not in self._tasks:
                self._tasks[watch] = asyncio.create_task(self._watch(watch))
                self._tasks[watch].add_done_callback(self._end)
        if first and state.agent:
            self._memory = failover.remember(state.agent.groups, self.choices)

    async def run(self, switched: Callable[[], None]) -> None:
        """Wait for ever, or until watching fails by a defect, which is raised. `switched` is called after a switch."""
        self._switched = switched
        await self._failed

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not self._failed.done():
            self._failed.set_exception(task.exception() or AssertionError("a watch ended"))

    async def _watch(self, watch: Watch) -> None:
        memory = probes.Memory()
        try:
            while True:
                began = time.monotonic()
                await self._round(watch, memory)
                await asyncio.sleep(max(0.05, _next(watch, began) - time.monotonic()))
        finally:
            memory.close()

    async def _round(self, watch: Watch, memory: probes.Memory) -> None:
        """Ask an upstream's targets once, and act on what that says."""
        replies = await probes.ask(watch, memory)
        now = time.monotonic()
        before = self.health[watch.upstream]
        after = judge(before, Round(now, replies, self._reading(watch), memory.received, memory.refused))
        self.health[watch.upstream] = after
        if log.isEnabledFor(logging.DEBUG):
            log.debug("upstream %s: %s", watch.upstream, _in_words(replies, after))
        if after.state != before.state:
            self._tell(after)
        if after.state != before.state or now - self._decided_at >= DECIDE:
            await self.decide()
        if after.state == DOWN:
            await self._repair(watch, now)
        else:
            self._repairs.pop(watch.upstream, None)

    def _reading(self, watch: Watch) -> Optional[Reading]:
        """Return what WireGuard counted at the healer's last look; None when it saw no such interface."""
        peer = self._healer.readings.first(watch.interface)
        if peer is None:
            return None
        age = None if peer.handshake is None else max(0.0, self._store.system.now() - peer.handshake)
        return Reading(peer.received, peer.sent, age)

    def _tell(self, health: Health) -> None:
        upstream = health.watch.upstream
        if health.state == UP:
            log.warning("upstream %s is up", upstream)
        else:
            log.warning("upstream %s is %s: %s", upstream, health.state, health.why)

    async def decide(self) -> None:
        """Have every egress with a choice take the way that the health of the upstreams says."""
        self._decided_at = time.monotonic()
        async with self._deciding:
            groups = self._state.agent.groups if self._state.agent else ()
            chosen, self._memory = failover.choose(groups, self.health, self._memory, time.monotonic(), self._plain)
            before = self.choices
            if chosen == before:
                if self._settled:
                    return
                before = self._store.kept.choices.read()  # what a switch that failed, or was cut off, has begun
            self._settled = False
            try:
                done = await self._worker(switch, self._store, before, chosen, failover.dead(groups, self.health))
            except FAILURES as error:
                log.error("cannot switch: %s", error)  # tried again after the next round
                self._healer.ask(("routes", "marks"))
                return
            self.choices, self._settled = chosen, True
            self._note(done, groups)

    def _note(self, done: Switched, groups: Sequence[Group]) -> None:
        moved = {
            group.name: done.words(group.number)
            for group in groups
            if group.number in done.after and done.before[group.number] != done.after[group.number]
        }
        for name, words in moved.items():
            self.switches[name] += 1
            log.warning("egress %s: %s", name, words)
        why = "; ".join(f"{name}: {words}" for name, words in moved.items())
        for section, changes in done.changes.items():
            entry = audit.Entry(audit.Reason("agent", f"failover: {why}"), section, changes, states=(self._state,))
            audit.record(self._store.system, entry, self._store.system.now())
        self._switched()

    async def _repair(self, watch: Watch, now: float) -> None:
        """Try the next thing for an upstream that is down, when it is due."""
        history = self._repairs.get(watch.upstream, repair.History())
        tunnels = tunnels_of(self._store, self._state)
        device = next((device for device in tunnels if device.name == watch.upstream), None)
        if device is None:
            return
        # Over a WebSocket it is that which does not work, and which is started again.
        step = repair.next_step(history, now, watch.restart and not by_websocket(device))
        if step is None:
            return
        self._repairs[watch.upstream] = repair.done(history, now)
        try:
            # Looked up outside of the worker: a name server that is silent holds no switch up.
            endpoint = repair.endpoint_of(device) if step == repair.ENDPOINT else None
            found = await asyncio.to_thread(repair.look_up, endpoint) if endpoint else ()
            done = await self._worker(repair.repair, self._store, device, step, found)
        except FAILURES as error:
            log.warning("upstream %s: %s", watch.upstream, error)
            return
        if done.words:
            self.restarts[watch.upstream] += step == repair.DEVICE
            log.warning("upstream %s: %s", watch.upstream, done.words)
            self._healer.ask(done.sections)


def _in_words(replies: Mapping[Target, Optional[float]], health: Health) -> str:
    """Return what a round of probes found, for people."""
    asked = (
        f"{target.address} {'silent' if time is None else f'{time * 1000:.1f} ms'}" for target, time in replies.items()
    )
    return f"{', '.join(asked)}: {health.state}, good {health.good}, bad {health.bad}"


def _next(watch: Watch, began: float) -> float:
    """Return when the round after one that began at this time begins: together with others', but not with all."""
    interval = watch.interval / 1000
    offset = zlib.crc32(watch.upstream.encode()) % TOGETHER / TOGETHER * interval
    return offset + round((began + interval - offset) / interval) * interval


def _plain(state: State) -> Mapping[int, str]:
    """Return number → upstream of the egresses that are one upstream and nothing else."""
    upstreams = {device.interface: device.name for device in state.upstreams}
    groups = {group.number for group in state.agent.groups} if state.agent else set()
    marks = state.marks
    return {
        egress.number: upstreams[egress.interface]
        for egress in (marks.egresses if marks else ())
        if egress.interface in upstreams and egress.number not in groups
    }
