# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a gateway serves after a change as it did before: two looks at it are compared. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Optional

from .settings import Gate

UP, DOWN = "up", "down"
MOST_NAMED = 10  # clients in one message


@dataclass(frozen=True)
class Tunnel:
    """One upstream."""

    state: str  # up | down | unknown, by the agent
    answered: bool  # one of its targets has answered through it during this look
    why: str = ""  # what the agent says of it while it is not up


@dataclass(frozen=True)
class Heard:
    """One client, as its WireGuard peer was counted."""

    handshake: Optional[float] = None  # seconds since the epoch; None: there was none
    received: int = 0  # bytes from it


@dataclass(frozen=True)
class Look:
    """A gateway at one moment."""

    taken: float  # seconds since the epoch, by the gateway's clock
    agent: bool = False  # it runs and answers
    current: bool = False  # the agent goes by the generation that is published
    failures: dict[str, str] = field(default_factory=dict)  # section → why the agent cannot heal it
    upstreams: dict[str, Tunnel] = field(default_factory=dict)
    clients: dict[str, Heard] = field(default_factory=dict)
    names: bool = False  # dnsmasq answers


def missing(before: Look, first: Look, now: Look, wishes: Gate) -> tuple[str, ...]:
    """Return what keeps a gateway from being confirmed, a line each.

    `before`: before the change, of its clients those that were connected; `first`: the first look after it.
    """
    if not now.agent:
        return ("the agent does not answer: see journalctl -u splitway",)
    if not now.current:
        return ("the agent does not go by the new generation yet",)
    return (
        *(f"{section}: {why}" for section, why in now.failures.items() if section not in before.failures),
        *_names(before, now),
        *_upstreams(before, now, wishes),
        *_handshakes(before, now, wishes),
        *_silence(before, first, now),
        *_canary(first, now, wishes),
    )


def _names(before: Look, now: Look) -> Iterator[str]:
    if before.names and not now.names:
        yield "dnsmasq does not answer any more"


def _upstreams(before: Look, now: Look, wishes: Gate) -> Iterator[str]:
    for name, tunnel in now.upstreams.items():
        was = before.upstreams.get(name)
        if name in wishes.ignore_upstreams or (was is not None and was.state == DOWN):
            continue
        kind = "upstream" if was is not None else "new upstream"
        if tunnel.state == DOWN:
            yield f"{kind} {name} is down{_because(tunnel)}"
        elif tunnel.answered:
            continue
        elif was is None or was.answered:
            yield f"{kind} {name}: nobody answers through it{_because(tunnel)}"
        elif was.state == UP and tunnel.state != UP:  # its targets never answered: what the agent sees is all there is
            yield f"{kind} {name} is {tunnel.state}, and was up{_because(tunnel)}"


def _because(tunnel: Tunnel) -> str:
    return f" ({tunnel.why})" if tunnel.why else ""


def _handshakes(before: Look, now: Look, wishes: Gate) -> Iterator[str]:
    """A peer that was left alone keeps the time of its handshake; one that was made anew has none until the next."""
    there = {name: heard for name, heard in before.clients.items() if name in now.clients}
    lost = [name for name, heard in there.items() if (now.clients[name].handshake or 0) < (heard.handshake or 0)]
    if len(there) - len(lost) < math.ceil(wishes.minimum_handshakes * len(there) - 1e-9):
        yield f"{len(lost)} of {len(there)} connected clients have lost their tunnel: {_named(lost)}"


def _silence(before: Look, first: Look, now: Look) -> Iterator[str]:
    """Of those that were heard during the change not one is heard after it: they do not reach wg0 any more."""
    talking = [
        name
        for name, heard in before.clients.items()
        if name in first.clients and first.clients[name].received > heard.received
    ]
    heard_since = any(
        name in now.clients and now.clients[name].received > first.clients[name].received for name in talking
    )
    if talking and not heard_since:
        yield f"nothing comes from clients any more that sent something until now: {_named(talking)}"


def _canary(first: Look, now: Look, wishes: Gate) -> Iterator[str]:
    if not wishes.canary:
        return
    canary = now.clients.get(wishes.canary)
    if canary is None:
        yield f"splitway_gate.canary: {wishes.canary} is none of this gateway's clients"
    elif (canary.handshake or 0) < first.taken:
        yield f"the canary {wishes.canary} has had no handshake since the change"


def _named(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
