# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at the gateway that this runs on, for the gate of a rollout."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ..agent import control
from ..agent.errors import AgentError
from ..agent.upstreams import probes
from ..sealed import digest
from ..state import Watch
from ..store import Store
from .gate import UP, Heard, Look, Tunnel

CONNECTED = 180.0  # seconds since the last handshake within which a client counts as connected (REJECT_AFTER_TIME)


def look(store: Store) -> Look:
    """Return the gateway as it is now. Asks through each tunnel for itself: the agent may ask once an hour only."""
    taken = store.system.now()
    state = store.generation()
    try:
        status = control.ask(store.system, "status")
    except AgentError:
        return Look(taken)
    watches = state.agent.watches if state.agent else ()
    answered = asyncio.run(_ask(watches))
    return Look(
        taken=taken,
        agent=True,
        current=status["generation"] == digest(state),
        failures=dict(status["drift"]["failures"]),
        upstreams={item["name"]: _tunnel(item, answered) for item in status["upstreams"]},
        clients={item["name"]: _heard(item) for item in status["clients"]},
        names=status["dns"] is not None,
    )


def connected(found: Look) -> Look:
    """Return a look with those clients only that were connected: of thousands some."""
    there = {
        name: heard
        for name, heard in found.clients.items()
        if heard.handshake is not None and found.taken - heard.handshake < CONNECTED
    }
    return Look(**{**vars(found), "clients": there})


def _tunnel(item: dict[str, Any], answered: frozenset[str]) -> Tunnel:
    return Tunnel(item["state"], item["name"] in answered, "" if item["state"] == UP else item["why"])


def _heard(item: dict[str, Any]) -> Heard:
    return Heard(None if item["seen"] is None else float(item["seen"]), item["received"])


async def _ask(watches: Sequence[Watch]) -> frozenset[str]:
    """Return the upstreams through which one target has answered."""
    found = await asyncio.gather(*(_answers(watch) for watch in watches))
    return frozenset(watch.upstream for watch, answers in zip(watches, found) if answers)


async def _answers(watch: Watch) -> bool:
    memory = probes.Memory()
    try:
        return any(time is not None for time in (await probes.ask(watch, memory)).values())
    finally:
        memory.close()
