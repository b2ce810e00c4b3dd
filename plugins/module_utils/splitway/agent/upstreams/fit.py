# SPDX-License-Identifier: GPL-3.0-or-later
"""Which MTU a tunnel has that follows its path: decided from the path and from what came back through it.

A wrong MTU is a narrow one that is kept too long, or a wide one that loses what is large: so narrower is believed at
once, and wider only on another path, or after a day.
"""

from __future__ import annotations

import dataclasses
from typing import Optional

from ... import audit
from ...mtus import PADDING, SMALLEST, Found, largest
from ...present import present
from ...reconcile import wireguard
from ...reconcile.base import CHANGE, Change
from ...state import Device
from ...store import Store
from ..differing import bring
from .path import Path
from .sizes import Passed

AGAIN = 86400.0  # seconds after which a path that was too narrow may have become wider

_BELOW = (576, 768, 1024, 1152, 1216)
"""Bytes that no tunnel of ours has: where one of these passes, what is larger was refused by the path, not by who is
asked."""

_SECTIONS = ("upstreams", "marks")
PATIENCE = 0.3  # seconds for somebody who only looks


def begin(found: Optional[Found], endpoint: str, path: Path, now: float) -> Found:
    """Return what a tunnel is to have before anything is asked through it; `now`: seconds since the epoch."""
    widest = largest(path.mtu, path.family)
    same = found is not None and (found.endpoint, found.path) == (endpoint, path.ends)
    if found is not None and same and found.mtu <= widest and now - found.at < AGAIN:
        return found
    return Found(widest, endpoint, path.ends, now)


def candidates(mtu: int) -> tuple[int, ...]:
    """Return the sizes to ask when packets of this one do not come back; itself, too: they may have been lost."""
    return (*_BELOW, *range(SMALLEST, mtu, PADDING), mtu)


def narrowed(found: Found, passed: Passed, now: float) -> Optional[Found]:
    """Return what a tunnel is to have when this is the largest candidate that passed; None: it cannot have that."""
    return dataclasses.replace(found, mtu=passed.most, at=now) if passed.most >= SMALLEST else None


def adopt(store: Store, device: Device, found: Found, why: str) -> bool:
    """Keep what was found for an upstream's device, and bring it into the kernel; return whether that changed anything.

    Raises Held, and nothing was done, while somebody else has the gateway, and whatever a reconciler raises.
    """
    with store.lock(PATIENCE):
        before = store.kept.mtus.read()
        if before.get(device.interface) == found:
            return False
        state = store.staged(_SECTIONS)
        old = present(store, state)
        there = {entry.interface for entry in state.upstreams}
        kept = {interface: item for interface, item in before.items() if interface in there}
        store.kept.mtus.write({**kept, device.interface: found})
        new = present(store, state)
        if old == new:
            return False
        wireguard.set_mtu(store.system, device.interface, found.mtu)
        failures: list[Exception] = []
        caused = bring(store, ("marks",), state, old, new, failures)
    was = next((str(entry.mtu) for entry in old.upstreams if entry.name == device.name), "")
    changes = {"upstreams": (Change(CHANGE, f"{device.interface}: mtu", was, str(found.mtu)),), **caused}
    for section, these in changes.items():
        reason = audit.Reason("agent", f"mtu of {device.name}: {why}")
        audit.record(store.system, audit.Entry(reason, section, these, states=(state,)), store.system.now())
    if failures:
        raise failures[0]
    return True
