# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts an upstream on a way, or on another server: what every run honours, the tunnel, and what depends on both."""

from __future__ import annotations

from typing import Optional

from ... import audit
from ...present import present
from ...reconcile import wireguard
from ...reconcile.base import CHANGE, Change
from ...state import State
from ...store import Store
from ...transports import UDP, Carried
from ..differing import bring

_SECTIONS = ("transports", "upstreams", "marks")
PATIENCE = 2.0  # seconds for a step of a run to end


def adopt(
    store: Store, upstream: str, why: str, way: Optional[str] = None, server: Optional[int] = None, where: str = ""
) -> bool:
    """Keep how an upstream is carried, and bring that into the kernel; return whether it is another way or server.

    `way`, `server`: None leaves it as it is. `where`: the exit's "address:port" on that way; "": WireGuard knows.
    Nothing is done about an upstream that has no WebSocket any more.

    Raises Held, and nothing was done, when somebody else has the gateway for longer than PATIENCE, and whatever a
    reconciler raises.
    """
    with store.lock(PATIENCE):
        before = store.kept.carried.read()
        state = store.staged(_SECTIONS)
        old = present(store, state)
        there = {client.upstream for client in state.transports.clients} if state.transports is not None else set()
        if upstream not in there:
            return False
        was = before.get(upstream, Carried(UDP))
        carried = Carried(was.way if way is None else way, was.server if server is None else server)
        store.kept.carried.write({**{name: item for name, item in before.items() if name in there}, upstream: carried})
        new = present(store, state)
        changes = {"upstreams": _move(store, old, new, upstream, where)}
        failures: list[Exception] = []
        changes.update(bring(store, ("transports", "marks"), state, old, new, failures))
    if old != new:
        reason = audit.Reason("agent", f"transport of {upstream}: {why}")
        for section, these in changes.items():
            if these:
                entry = audit.Entry(reason, section, these, states=(state,))
                audit.record(store.system, entry, store.system.now())
    if failures:
        raise failures[0]
    return old != new


def _move(store: Store, old: State, new: State, upstream: str, where: str) -> tuple[Change, ...]:
    """Tell WireGuard the endpoint and the MTU. Names are not resolved here: that would take time while all wait."""
    device = next((device for device in new.upstreams if device.name == upstream), None)
    was = next((entry for entry in old.upstreams if entry.name == upstream), None)
    if device is None or was is None:  # there are proxies only
        return ()
    keys = [peer.public_key for peer in device.peers if peer.public_key]
    if where and keys:
        wireguard.set_endpoints(store.system, device.interface, [(keys[0], where)])
    if device.mtu is not None and device.mtu != was.mtu:
        wireguard.set_mtu(store.system, device.interface, device.mtu)
    if was == device:
        return ()
    ends = (" ".join(peer.endpoint or "" for peer in entry.peers) + f", mtu {entry.mtu}" for entry in (was, device))
    return (Change(CHANGE, f"{device.interface}: way", *ends),)
