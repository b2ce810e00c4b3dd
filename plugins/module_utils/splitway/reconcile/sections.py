# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconciler of each section of the state, all of one shape: they take the whole desired state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..state import State
from ..system import System
from . import agent, dns, flows, marks, proxies, qos, routes, sets, transports, web, wireguard
from .base import Change
from .flows import guarded


@dataclass(frozen=True)
class Reconciler:
    """One section's three functions, see base.py."""

    read: Callable[[System, State], Any]
    plan: Callable[[State, Any], tuple[Change, ...]]
    apply: Callable[[System, tuple[Change, ...]], None]

    def changes(self, system: System, state: State) -> tuple[Change, ...]:
        """Return what must change now for the host to be as the state says; nothing is applied."""
        return self.plan(state, self.read(system, state))


def _server(state: State) -> tuple[Any, ...]:
    return () if state.server is None else (state.server,)


def _apply_sets(system: System, changes: tuple[Change, ...]) -> None:
    sets.apply(system, changes)
    if sets.makes_learned(changes):
        dns.forget(system)


RECONCILERS: dict[str, Reconciler] = {
    "transports": Reconciler(
        lambda system, state: transports.read(system, state.transports),
        lambda state, current: transports.plan(state.transports, current),
        transports.apply,
    ),
    "upstreams": Reconciler(
        lambda system, state: wireguard.read(system, state.upstreams, wireguard.UPSTREAMS),
        lambda state, current: wireguard.plan(state.upstreams, current),
        wireguard.apply,
    ),
    "routes": Reconciler(
        lambda system, state: routes.read(system, state.routes),
        lambda state, current: routes.plan(state.routes, current),
        routes.apply,
    ),
    "sets": Reconciler(
        lambda system, state: sets.read(system, state.sets, state.backend),
        lambda state, current: sets.plan(state.sets, current),
        _apply_sets,
    ),
    "dns": Reconciler(
        lambda system, state: dns.read(system, state.dns),
        lambda state, current: dns.plan(state.dns, current),
        dns.apply,
    ),
    "marks": Reconciler(
        lambda system, state: marks.read(system, state.marks, state.backend),
        lambda state, current: marks.plan(state.marks, current),
        marks.apply,
    ),
    "server": Reconciler(
        lambda system, state: wireguard.read(system, _server(state), wireguard.SERVER),
        lambda state, current: wireguard.plan(_server(state), current),
        wireguard.apply,
    ),
    "qos": Reconciler(
        lambda system, state: qos.read(system, state.qos),
        lambda state, current: qos.plan(state.qos, current),
        qos.apply,
    ),
    "proxies": Reconciler(
        lambda system, state: proxies.read(system, state.proxies),
        lambda state, current: proxies.plan(state.proxies, current),
        proxies.apply,
    ),
    "web": Reconciler(
        lambda system, state: web.read(system, state.web),
        lambda state, current: web.plan(state.web, current),
        web.apply,
    ),
    "agent": Reconciler(
        lambda system, state: agent.read(system, state.agent),
        lambda state, current: agent.plan(state.agent, current),
        agent.apply,
    ),
}


def move_flows(system: System, old: State, new: State) -> None:
    """Delete the connections of clients whose way differs between two states or that could not begin any more."""
    if new.marks is None or (old.marks, old.sets) == (new.marks, new.sets):
        return
    found = flows.read(system, new.marks)
    if not found:
        return
    learned = {**sets.members(system, old.backend), **sets.members(system, new.backend)}
    moved = flows.plan(old.marks, old.sets, new.marks, new.sets, learned, found)
    flows.apply(system, tuple(dict.fromkeys((*moved, *guarded.plan(old.marks, new.marks, new.sets, found)))))
