# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told to others: the snapshot for `splitway status` and the exporter, and the access log."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Optional

from ...choices import with_choices
from ...failures import FAILURES
from ...present import present
from ...reconcile import sets
from ...reconcile.sets.model import IPSET
from ...sealed import digest
from ...state import State
from ...store import Store
from ..healing.generation import Generation
from ..healing.loop import Healer, Worker
from ..names.answers import Answer
from ..names.learning import Learning
from ..names.pinning import Pinning
from ..transports.together import Together
from ..upstreams.fitting import Fitting
from ..upstreams.tunnels import Tunnels
from . import dns_statistics, flow_table, metrics, snapshot, traffic
from .access import AccessLog, clean
from .country_data import of_countries
from .resolving import addresses_of, pinned_of, resolvers_of
from .resolving import to_plain as plain_addresses
from .visits import Ways

DRAIN = 1.0  # seconds between countings of the flows that ended
SELDOM = 60.0  # seconds between looks at what is dear: living flows, nftables' sets, dnsmasq's log
FRESH = 30.0  # seconds for which living flows that were counted are told again

log = logging.getLogger("splitway")


class Observing:
    """Gathers what the agent's parts know."""

    def __init__(
        self,
        store: Store,
        generation: Generation,
        healer: Healer,
        tunnels: Tunnels,
        fitting: Fitting,
        learning: Learning,
        pinning: Pinning,
        transports: Together,
    ) -> None:
        self._store, self._generation = store, generation
        self._healer, self._tunnels, self._fitting, self._learning = healer, tunnels, fitting, learning
        self._pinning, self._transports = pinning, transports
        self._started = self._store.system.now()
        self._digest = ""
        self._traffic: Optional[traffic.Traffic] = None
        self._bytes: Mapping[traffic.Key, int] = {}
        self._entries: Mapping[str, int] = {}
        self._additions = snapshot.Additions()
        self._failed = dns_statistics.FailedAdditions()
        self.failed_additions: Counter[str] = Counter()
        self._exporter: Optional[metrics.Exporter] = None
        self._access: Optional[AccessLog] = None
        self._access_lost = 0  # entries, since the start
        self._ways: Optional[Ways] = None

    def configure(self, state: State) -> None:
        """Go by another generation from now on."""
        self._digest = digest(state) if state != State() else ""
        self.follow()
        self._export(state)
        self._log_access(state)

    def follow(self) -> None:
        """Count flows by the names that their marks have now."""
        known = traffic.names(with_choices(self._generation.state, self._tunnels.choices))
        if known is not None and self._traffic is None:
            self._traffic = traffic.Traffic(known)
        elif known is not None and self._traffic is not None:
            self._traffic.follow(known)

    def _export(self, state: State) -> None:
        address = state.agent.metrics if state.agent else None
        if self._exporter and self._exporter.address != address:
            self._exporter.close()
            self._exporter = None
        if address and self._exporter is None:
            try:
                self._exporter = metrics.Exporter(address, self.take)
            except OSError as error:
                log.error("metrics cannot be served at %s: %s", address, error)

    def _log_access(self, state: State) -> None:
        days = state.agent.access_log if state.agent else None
        self._access = None
        if days is None or state.marks is None:
            clean(self._store.system, -1, self._store.system.now())
        else:
            self._access = AccessLog(self._store.system, days)
            state = self._present()
            self._ways = Ways(state, state.marks, self._learning.names) if state.marks else None

    def hear(self, answers: list[Answer]) -> None:
        """Take answers to clients, for the access log."""
        if self._access is None or self._ways is None:
            return
        for answer in answers:
            found = self._ways.of(answer)
            if found:
                self._access.note(found[0], answer.name, found[1], self._store.system.now())

    async def run(self, worker: Worker[Any]) -> None:
        """Count what passes, for ever."""
        loop = asyncio.get_running_loop()
        seldom_at = loop.time()
        while True:
            await asyncio.sleep(DRAIN)
            if self._traffic:
                self._traffic.drain()
            if self._access:
                self._flush(self._access)
            if loop.time() >= seldom_at:
                seldom_at = loop.time() + SELDOM
                self._export(self._generation.state)  # its address may have been taken, or not there yet
                with contextlib.suppress(*FAILURES):
                    await worker(self._look)
            self._additions.note(self._sizes(), self._store.system.now())

    def _flush(self, access: AccessLog) -> None:
        try:
            access.flush(self._store.system.now())
        except FAILURES as error:
            log.error("the access log: %s", error)
        self._access_lost += access.dropped
        access.dropped = 0

    def _look(self) -> None:
        state = self._generation.state
        if self._traffic:
            self._traffic.read(self._store.system, time.monotonic())
        if state.backend != IPSET:
            found = sets.read_learned(self._store.system, state.backend)
            self._entries = {name: len(item.members) for name, item in found.items()}
        self.failed_additions += self._failed.read(self._store.system)

    def _sizes(self) -> Mapping[str, int]:
        return self._healer.sizes if self._generation.state.backend == IPSET else self._entries

    def close(self) -> None:
        """Serve no longer."""
        if self._exporter:
            self._exporter.close()

    def _present(self) -> State:
        """Return the generation as it is to be now, with all of its clients; what cannot be known is left as it is."""
        state, choices = self._generation.state, self._tunnels.choices
        try:
            return dataclasses.replace(present(self._store, state, choices), server=state.server)
        except FAILURES:
            return with_choices(state, choices)

    async def status(self) -> Any:
        """Return the snapshot as plain data, for the control socket."""
        return snapshot.to_plain(await asyncio.to_thread(self.take))

    async def addresses(self) -> Any:
        """Return the addresses of pinned names as plain data, for the control socket."""
        return plain_addresses(addresses_of(self._pinning, self._generation.state, self._store.system.now()))

    def take(self) -> snapshot.Snapshot:
        """Return what is known now. Blocks for a moment; for any thread."""
        state = self._present()
        clock, moved = time.monotonic(), self._bytes
        if self._traffic:
            with contextlib.suppress(*FAILURES):
                moved = self._bytes = self._traffic.read(self._store.system, clock, FRESH)
        server = state.server.addresses[0].partition("/")[0] if state.server else ""
        stamp = self._store.stamp()
        healer, tunnels = self._healer, self._tunnels
        sources = snapshot.Sources(
            state=state,
            started=self._started,
            generation=self._digest,
            holders=self._store.kept.holders.read(),
            applied=stamp[2] / 1e9 if stamp else None,
            problem=self._generation.problem,
            health=dict(tunnels.health),
            readings=healer.readings,
            passes=self._fitting.passes(),
            carriage=self._transports.figures(),
            restarts=dict(tunnels.restarts),
            switches=dict(tunnels.switches),
            traffic=moved,
            entries=self._sizes(),
            added=dict(self._additions.times),
            drift=snapshot.Drift(dict(healer.healed), healer.refilled, dict(healer.failures), dict(healer.since)),
            dns=dns_statistics.ask(server) if server else None,
            failed_additions=dict(self.failed_additions + self._learning.refused),
            lost_flows=self._traffic.lost if self._traffic else 0,
            flow_table=flow_table.read(self._store.system),
            lost={**self._learning.lost(), "access log": self._access_lost},
            resolvers=resolvers_of(self._pinning.resolver),
            pinned=pinned_of(self._pinning),
            countries=of_countries(self._store.system, self._generation.state),
        )
        return snapshot.take(sources, self._store.system.now(), clock)
