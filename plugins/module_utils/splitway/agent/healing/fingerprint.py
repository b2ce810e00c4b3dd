# SPDX-License-Identifier: GPL-3.0-or-later
"""Cheap looks at the host: what they show is compared with what they showed when all was well.

For what no netlink event tells of: ipsets, peers, files, processes. A difference says only that the reconcilers
should look closely. `take` is for every few seconds, `content` for every minute: it asks what sets hold, and whether
an event escaped us. Both show a section as it was only if it is.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional, Protocol

from ...reconcile import nft, proxies
from ...reconcile.agent.text import AGENT, GUARD
from ...reconcile.dns import forwarder
from ...reconcile.dns.text import UNIT, paths
from ...reconcile.marks.iptables import LOOKUPS
from ...reconcile.qos.model import DEVICE
from ...reconcile.routes.sysctl import ACCOUNTING, FORWARDING
from ...reconcile.services import FOLDER, WIREGUARD
from ...reconcile.sets import glance
from ...reconcile.sets.model import IPSET, OWNED
from ...reconcile.transports.live import glimpse
from ...reconcile.web import text as web
from ...state import State
from ...system import System
from .peers import Readings

Fingerprints = Mapping[str, object]
"""Section → something that is equal as long as the section looks as it did."""

_LOOKUPS = tuple(LOOKUPS.values())  # of clients: sets of the section `marks`
_PARAMETERS = (
    "net/ipv4/conf/all/rp_filter",  # wg0's own follows it
    "net/ipv4/conf/{}/rp_filter",
    "net/ipv4/conf/{}/accept_local",
    "net/ipv6/conf/{}/disable_ipv6",
)
_LEGACY = tuple(Path("/proc/thread-self/net") / name for name in ("ip_tables_names", "ip6_tables_names"))
_PATIENCE = 0.5  # seconds for an event to be read


class Changes(Protocol):
    """What was heard of nftables."""

    heard: Optional[int]  # the number of the change up to which all were heard of; None: not known
    elements: int  # how often something came into a learned set, or was taken out


def take(system: System, state: State, readings: Readings, sets: Mapping[str, glance.Header]) -> Fingerprints:
    """Return how the sections look now; `sets`: the ipsets' headers. Raises SystemFailure."""
    return {
        "upstreams": _devices(readings, (device.interface for device in state.upstreams)),
        "server": _devices(readings, _server(state)),
        "routes": tuple(system.sysctl(key) for key in (*FORWARDING, *ACCOUNTING)),
        "sets": _sets(state, sets),
        "marks": (*(sets.get(name) for name in _LOOKUPS), _open_ports(state)),
        "dns": _dns(system),
        "transports": glimpse(system, state.transports),
        "qos": () if state.qos is None else _indices(system, (state.qos.interface, DEVICE)),
        "proxies": proxies.glimpse(system, state.proxies),
        "web": _web(system, state),
        "agent": tuple(map(system.stamp, (FOLDER / AGENT, FOLDER / GUARD))),
    }


def content(system: System, state: State, sets: Mapping[str, glance.Header], changes: Changes) -> Fingerprints:
    """Return how the sections whose comparison is dear look inside; None for one that only a comparison can judge.

    Raises SystemFailure.
    """
    static = tuple(item.name for item in state.sets if item.timeout is None)
    links, rules = _links(system), _rules(system, changes)
    if state.backend == IPSET:
        held = glance.digests(system, (*static, *_LOOKUPS))
        learned = {item.name: sets[item.name].entries for item in state.sets if item.name in sets and item.timeout}
        inside: object = (tuple(map(held.get, static)), learned)
        marks: object = None if rules is None else (rules, *map(held.get, _LOOKUPS))
    else:
        inside, marks = None if rules is None else (rules, changes.elements), rules
    return {
        "upstreams": _interfaces(system, links, (device.interface for device in state.upstreams)),
        "server": _interfaces(system, links, _server(state)),
        "sets": inside,
        "marks": marks,
    }


def emptied(before: Mapping[str, glance.Header], now: Mapping[str, glance.Header]) -> bool:
    """Return whether one of our sets lost more than half: learned addresses come and go, but not like that."""
    return any(
        header.entries and (now[name].entries if name in now else 0) * 2 < header.entries
        for name, header in before.items()
        if OWNED.fullmatch(name)
    )


def _server(state: State) -> tuple[str, ...]:
    """Return the clients' interface, unless it is somebody else's."""
    return (state.server.interface,) if state.server is not None and not state.server.adopted else ()


def _indices(system: System, interfaces: Iterable[str]) -> object:
    """Return the kernel's numbers of interfaces; of the queues on them it tells by events."""
    return tuple(map(system.interface_index, interfaces))


def _devices(readings: Readings, interfaces: Iterable[str]) -> object:
    return {
        name: (readings.devices[name], readings.configured[name]) for name in interfaces if name in readings.devices
    }


def _sets(state: State, headers_: Mapping[str, glance.Header]) -> object:
    static = {item.name for item in state.sets if item.timeout is None}
    return {
        name: header if name in static else header.kind
        for name, header in headers_.items()
        if name in static or OWNED.fullmatch(name)
    }


def _links(system: System) -> dict[str, object]:
    """Return name → what `ip` says of each interface, but for what changes by itself."""
    if not system.has("ip"):
        return {}
    return {link["ifname"]: link for link in json.loads(system.read("ip", "-j", "-d", "address", "show"))}


def _interfaces(system: System, links: Mapping[str, object], names: Iterable[str]) -> object:
    return {name: (links.get(name), *(system.sysctl(key.format(name)) for key in _PARAMETERS)) for name in names}


def _rules(system: System, changes: Changes) -> Optional[str]:
    """Return always the same: no rule was changed but those that we heard of, and looked at. None: not known.

    What nftables and today's iptables change is told by events, and each change has a number; the old iptables tells
    nothing.
    """
    if any((system.read_file(path) or "").strip() for path in _LEGACY):
        return None
    now, deadline = nft.generation(system), time.monotonic() + _PATIENCE
    while now is not None and (changes.heard is None or changes.heard < now):
        if changes.heard is None or time.monotonic() > deadline:
            return None
        time.sleep(0.01)  # the loop hears of it at this moment
    return "heard"


def _dns(system: System) -> object:
    where, over_tls = paths(system), forwarder.paths(system)
    files = (where.options, where.names, where.started_options, where.started_names, FOLDER / UNIT, FOLDER / WIREGUARD)
    forwarders = (over_tls.configuration, over_tls.started, FOLDER / forwarder.UNIT)
    process = (system.read_file(where.pid) or "").strip()
    return (*map(system.stamp, (*files, *forwarders)), process, bool(process) and os.path.exists(f"/proc/{process}"))


def _web(system: System, state: State) -> object:
    """Return how the files of PAC and their server look, and the ports that they name."""
    if state.web is None:
        return ()
    where = web.paths(system)
    published = (where.current / name for name in system.list_files(where.current))
    secured = (Path(state.web.certificate), Path(state.web.key)) if state.web.https else ()
    files = (where.configuration, where.started, FOLDER / web.UNIT, *secured, *published)
    ports = (server.port for file in state.web.files for server in file.servers)
    return (*map(system.stamp, files), state.web.http, state.web.https, *ports)


def _open_ports(state: State) -> object:
    """Return what of the chains depends on ports that our daemons took."""
    return () if state.marks is None else (state.marks.guard, state.marks.host)
