# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried for an upstream that is down: its endpoint first, the device then; less and less often.

An exit that changed its address is found by its name. Setting the endpoint again, even the same one, takes back
where WireGuard believes to have seen the exit last. What a new device lacks (addresses, peers, routes) is the
healer's to bring back.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Optional

from ...reconcile import wireguard
from ...reconcile.wireguard.live import record_folder, resolve, unit_of
from ...state import Device, Peer
from ...store import Held, Store
from ...system import System

ENDPOINT, DEVICE = "endpoint", "device"
"""The steps. The second is left out where the operator does not want restarts."""

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0  # seconds between two steps; each pause is twice the one before
LOOK_UP = 5.0  # seconds that a name server has

HEALED_BY_RESTART = ("upstreams", "routes")  # sections that a device made anew lacks


@dataclass(frozen=True)
class History:
    """What was tried since an upstream went down; forgotten when it is up."""

    steps: int = 0
    at: float = 0.0  # when the last one was (the caller's monotonic clock)


def next_step(history: History, now: float, restart: bool) -> Optional[str]:
    """Return the step that is due, None when none is."""
    if history.steps and now - history.at < min(FIRST_PAUSE * 2.0 ** (history.steps - 1), LONGEST_PAUSE):
        return None
    return DEVICE if restart and history.steps % 2 else ENDPOINT


def done(history: History, now: float) -> History:
    """Return the history with one more step."""
    return History(history.steps + 1, now)


@dataclass(frozen=True)
class Repaired:
    """What a step did."""

    words: str = ""  # for people; "": nothing
    sections: tuple[str, ...] = ()  # of the state, to be healed now


def endpoint_of(device: Device) -> Optional[str]:
    """Return the endpoint of an upstream's exit as the operator wrote it; None when it has none."""
    peer = _exit(device)
    return None if peer is None else peer.endpoint


def look_up(endpoint: str) -> tuple[str, ...]:
    """Return the addresses, each with the port, that an endpoint has now; none when nobody says so in time.

    Blocks for up to LOOK_UP seconds: not to be called while anybody waits for the gateway.
    """
    found: list[tuple[str, ...]] = []
    # A thread that nobody waits for: the C library's resolver has time-outs of its own, which add up.
    thread = threading.Thread(target=lambda: found.append(resolve([endpoint])[endpoint]), daemon=True)
    thread.start()
    thread.join(LOOK_UP)
    return found[0] if found else ()


def repair(store: Store, device: Device, step: str, found: tuple[str, ...]) -> Repaired:
    """Carry out one step for an upstream's device; nothing while a run of site.yml has the gateway.

    `found`: what look_up says of its endpoint. Raises SystemFailure.
    """
    try:
        with store.lock(patience=0):
            if store.transaction() is not None:
                return Repaired()
            if step == DEVICE:
                return _restart(store.system, device.interface)
            return _set_endpoint(store.system, device, found)
    except Held:
        return Repaired()


def _exit(device: Device) -> Optional[Peer]:
    return next((peer for peer in device.peers if peer.endpoint and peer.public_key), None)


def _set_endpoint(system: System, device: Device, found: tuple[str, ...]) -> Repaired:
    peer = _exit(device)
    if peer is None:
        return Repaired()
    if not found:
        return Repaired(f"no address was found for {peer.endpoint}")
    key = peer.public_key or ""
    now = _endpoint(system, device.interface, key)
    # Of several addresses the next one: the one in use leads nowhere.
    chosen = found[(found.index(now) + 1) % len(found)] if now in found else found[0]
    wireguard.set_endpoints(system, device.interface, [(key, chosen)])
    return Repaired(f"endpoint {chosen}" + (f", was {now or 'none'}" if chosen != now else " set again"))


def _endpoint(system: System, interface: str, key: str) -> Optional[str]:
    for line in system.read("wg", "show", interface, "endpoints").splitlines():
        peer, _, endpoint = line.partition("\t")
        if peer == key and endpoint != "(none)":
            return endpoint
    return None


def _restart(system: System, interface: str) -> Repaired:
    if system.read_file(record_folder(system) / interface) is not None:
        system.units.restart(unit_of(interface))
        return Repaired(f"{unit_of(interface)} restarted", HEALED_BY_RESTART)
    with system.netlink() as route:
        for index in route.link_lookup(ifname=interface):
            for state in ("down", "up"):
                system.commands.append(f"ip link set {interface} {state}")
                route.link("set", index=index, state=state)
    return Repaired(f"{interface} down and up again", HEALED_BY_RESTART)
