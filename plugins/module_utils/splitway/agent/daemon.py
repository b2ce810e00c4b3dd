# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway run`: the agent itself. One loop; whatever blocks or changes the host runs in one worker, one at a time."""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import logging
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, TypeVar

from ..choices import with_choices
from ..failures import FAILURES
from ..state import State
from ..store import Store
from ..system import System
from . import boot, control, notify
from .clients import Clients
from .figures.observing import Observing
from .healing.generation import Generation
from .healing.loop import Healer
from .healing.peers import Endpoints
from .levels import Level
from .moments import Moments
from .names.journal import Journal, location
from .names.learning import Learning
from .names.pinning import Pinning
from .names.resolver import Limits, Resolver
from .names.warm import Warming
from .names.whom import own_mark
from .transports.together import Together
from .upstreams.fitting import Fitting
from .upstreams.health import DOWN
from .upstreams.tunnels import Tunnels

HELP = "run the agent (systemd does that)"

HANGING = 150.0  # seconds in the worker after which systemd is to start us anew: no program of ours takes longer
SAVE = 60.0  # seconds between savings of the clients' endpoints

log = logging.getLogger("splitway")
T = TypeVar("T")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments: it has none."""
    del parser


def run(options: argparse.Namespace, system: System) -> int:
    """Run until systemd ends us."""
    del options
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    asyncio.run(_run(system))
    return 0


async def _run(system: System) -> None:
    await Daemon(system).run()  # made in the loop, to which its parts belong


class Daemon:
    """The agent's parts, and what they share."""

    def __init__(self, system: System) -> None:
        self._system, self._store = system, Store(system)
        self._generation = Generation(self._store)
        self._level = Level()
        self._host = asyncio.Lock()
        # A thread of its own: names that nobody answers keep those of the loop for half a minute each.
        self._thread = ThreadPoolExecutor(1, "worker")
        self._busy_since = 0.0  # when the worker began; 0: it rests
        self._endpoints = Endpoints(system.data / "endpoints.json")
        self._endpoints.load(system)
        self._learning = Learning(self._store, Journal(location(system)))
        self._healer = Healer(self._store, self._generation, self._endpoints, self._learning.refill)
        self._moments = Moments(self._store, self._generation)
        self._clients = Clients(self._store, self._generation)
        self._tunnels = Tunnels(self._store, self._healer, self._work)
        self._resolver = Resolver()
        self._warming = Warming(system, self._learning, self._resolver)
        self._pinning = Pinning(self._store, self._learning, self._resolver, self._now)
        self._fitting = Fitting(self._store, self._healer, self._tunnels, self._work)
        self._transports = Together(self._store, self._healer, self._tunnels, self._work)
        self._observing = Observing(
            self._store,
            self._generation,
            self._healer,
            self._tunnels,
            self._fitting,
            self._learning,
            self._pinning,
            self._transports,
        )
        self._learning.hear = self._observing.hear

    async def run(self) -> None:
        """Restore the gateway, then look after it until we are told to stop."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self._healer.listen()
        await self._restore()
        answerers = {
            "status": self._observing.status,
            "names": self._observing.addresses,
            **self._level.answerers(),
        }
        await control.serve(self._system, answerers)
        self._configure()
        notify.tell("READY=1")
        tasks = [
            asyncio.create_task(part)
            for part in (
                self._healer.run(self._work, self._configure),
                self._moments.run(self._work, lambda: self._observing.configure(self._generation.state)),
                self._clients.run(self._work),
                self._learning.run(self._work),
                self._pinning.run(self._work),
                self._tunnels.run(self._observing.follow),
                self._fitting.run(),
                *self._transports.runs(),
                self._observing.run(self._work),
                self._keep_endpoints(),
                self._keep_watchdog(),
                stop.wait(),
            )
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        notify.tell("STOPPING=1")
        await self._save()
        self._observing.close()
        self._pinning.close()
        self._learning.close()
        for task in done:
            task.result()  # a part that ended by a defect: its traceback goes to the journal, systemd starts us anew

    def _configure(self) -> None:
        """Go by the generation as it is now."""
        state = self._generation.state
        self._level.configure(state)
        self._learning.configure(state)
        self._tunnels.configure(state)
        self._resolve_by(state)
        self._fitting.configure(state)
        self._transports.configure(state)
        self._observing.configure(state)
        # What was read now stays: the collector need not walk over it, again and again.
        gc.collect()
        gc.freeze()

    def _now(self) -> tuple[State, frozenset[str]]:
        """Return the generation with the choices in force, and the interfaces of upstreams that are down."""
        down = (health.watch.interface for health in self._tunnels.health.values() if health.state == DOWN)
        return with_choices(self._generation.state, self._tunnels.choices), frozenset(down)

    def _resolve_by(self, state: State) -> None:
        """Ask for names, and try the addresses of those that are pinned, by a generation."""
        if state.agent is not None:
            asked = state.agent.resolving
            self._resolver.configure(Limits(asked.concurrency, asked.timeout / 1000, asked.tries, own_mark(state)))
        self._warming.configure(self._now()[0])
        self._pinning.configure(state)

    async def _work(self, action: Callable[..., T], *arguments: Any) -> T:
        async with self._host:
            self._busy_since = time.monotonic()
            work = asyncio.get_running_loop().run_in_executor(self._thread, functools.partial(action, *arguments))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait([work])  # a thread cannot be cancelled: nobody else begins before it has ended
                raise
            finally:
                self._busy_since = 0.0

    async def _restore(self) -> None:
        """Bring everything back; what cannot be is the healer's to try again."""
        try:
            failures = (await self._work(boot.restore, self._store, self._learning.refill, self._known)).failures
        except FAILURES as error:
            failures = {"the gateway": str(error)}
        for section, reason in failures.items():
            log.error("cannot restore %s: %s", section, reason)

    def _known(self) -> State:
        return self._generation.state if self._generation.current else self._store.generation()

    async def _keep_endpoints(self) -> None:
        while True:
            await asyncio.sleep(SAVE)
            await self._save()

    async def _save(self) -> None:
        try:
            await self._work(self._endpoints.save, self._system)
        except FAILURES as error:
            log.warning("the clients' endpoints are not saved: %s", error)

    async def _keep_watchdog(self) -> None:
        interval = notify.watchdog_interval()
        while interval:
            if not self._busy_since or time.monotonic() - self._busy_since < HANGING:
                notify.tell("WATCHDOG=1")
            await asyncio.sleep(interval)
        await asyncio.Event().wait()
