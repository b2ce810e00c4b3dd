# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway status`: what the running agent knows, as tables or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Optional

from ...sizes import size
from ...system import System
from .. import control
from ..errors import AgentError
from ..figures.snapshot import ClientStatus, Snapshot, UpstreamStatus, from_plain
from .tables import ago, duration, table
from .transports import transport_lines

HELP = "upstreams, groups, clients, sets and drift, as they are now"

SOON = 7 * 86400.0  # seconds before a client's time is up within which that is said
MOST_WAYS = 4  # ways that have a column of their own; more of them share one


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="for programs; docs/monitoring.md names the fields")


def run(options: argparse.Namespace, system: System) -> int:
    """Print the status. Raises AgentError when the agent does not run."""
    data = control.ask(system, "status")
    if options.json:
        text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False)
    else:
        try:
            text = "\n".join(render(from_plain(data)))
        except ValueError as error:
            message = "the agent that runs is of another version: systemctl restart splitway"
            raise AgentError(message) from error
    sys.stdout.write(f"{text}\n")
    return 0


def render(snapshot: Snapshot) -> Iterator[str]:
    """Yield the lines for people."""
    yield from _head(snapshot)
    yield from _upstreams(snapshot)
    yield from transport_lines(snapshot)
    yield from _groups(snapshot)
    yield from _clients(snapshot)
    yield from _sets(snapshot)
    yield from _countries(snapshot)
    yield from _dns(snapshot)
    yield from _pinned(snapshot)
    yield from _room(snapshot)
    yield from _drift(snapshot)


def _head(snapshot: Snapshot) -> Iterator[str]:
    now = snapshot.taken
    if snapshot.generation:
        yield f"generation {snapshot.generation[:12]}, applied {ago(snapshot.applied, now)}"
    else:
        yield "no generation: site.yml has not run on this host"
    if snapshot.problem:
        yield snapshot.problem
    yield f"agent {snapshot.engine[:12] or 'of no version'}, running for {duration(now - snapshot.started)}"


def _upstreams(snapshot: Snapshot) -> Iterator[str]:
    headings = (
        "NAME",
        "INTERFACE",
        "STATE",
        ">FOR",
        ">LATENCY",
        ">LOSS",
        ">HANDSHAKE",
        ">RECEIVED",
        ">SENT",
        ">RESTARTS",
        ">MTU",
    )
    rows = [
        (
            item.name,
            item.interface,
            item.state,
            duration(snapshot.taken - item.since),
            "-" if item.latency is None else f"{item.latency * 1000:.1f} ms",
            f"{item.loss:.0%}",
            ago(item.handshake, snapshot.taken),
            size(item.received),
            size(item.sent),
            str(item.restarts),
            "-" if item.mtu is None else str(item.mtu),
        )
        for item in snapshot.upstreams
    ]
    yield from table("UPSTREAMS", headings, rows)
    for upstream in snapshot.upstreams:
        yield from _remarks(upstream)


def _remarks(upstream: UpstreamStatus) -> Iterator[str]:
    if upstream.why:
        yield f"  {upstream.name}: {upstream.why}"
    if upstream.full_size is False:
        yield f"  {upstream.name}: packets of its MTU do not come back, small ones do: large transfers hang"
    if upstream.way != "udp":
        why = ", since UDP does not work" if upstream.fallen_back else ""
        yield f"  {upstream.name}: over its WebSocket{why}"
    if upstream.silent:
        yield f"  {upstream.name}: never answered: {', '.join(upstream.silent)}"


def _groups(snapshot: Snapshot) -> Iterator[str]:
    rows = []
    for group in snapshot.groups:
        several = len(group.ways) > 1
        ways = ", ".join(f"{name} ({weight})" if several else name for name, weight in group.ways.items())
        rows.append((group.name, group.mode, "direct" if group.direct else ways or "blocked", str(group.switches)))
    yield from table("GROUPS", ("NAME", "MODE", "NEW CONNECTIONS GO TO", ">SWITCHES"), rows)


def _clients(snapshot: Snapshot) -> Iterator[str]:
    used: dict[str, int] = {}
    for client in snapshot.clients:
        for way, count in client.bytes.items():
            used[way] = used.get(way, 0) + count
    # `direct` first, then what carries most.
    ways: Optional[list[str]] = sorted(used, key=lambda way: (way != "direct", -used[way], way))
    if ways is not None and len(ways) > MOST_WAYS:
        ways = None
    headings = ("NAME", "ADDRESS", ">LAST SEEN", ">RECEIVED", ">SENT")
    columns = ("WAYS",) if ways is None else tuple(f">{way.upper() if way == 'direct' else way}" for way in ways)
    rows = [
        (
            client.name,
            client.addresses[0] if client.addresses else "-",
            ago(client.seen, snapshot.taken),
            size(client.received),
            size(client.sent),
            *_moved(client, ways),
        )
        for client in snapshot.clients
    ]
    yield from table("CLIENTS", (*headings, *columns), rows)
    yield from table("THEIR TIMES AND KEYS", ("NAME", "TIME IS UP", "COMES WITH"), list(_times(snapshot)))


def _times(snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each client whose time is up, or soon will be, or who may come with two keys."""
    for client in snapshot.clients:
        left = None if client.expires is None else client.expires - snapshot.taken
        time = ""
        if left is not None and (client.expired or left < SOON):
            time = f"{duration(-left)} ago" if client.expired else f"in {duration(left)}"
        if time or client.key:
            yield client.name, time, f"the {client.key} key" if client.key else ""


def _moved(client: ClientStatus, ways: Optional[list[str]]) -> tuple[str, ...]:
    if ways is not None:
        return tuple(size(client.bytes[way]) if way in client.bytes else "-" for way in ways)
    most = sorted(client.bytes.items(), key=lambda item: -item[1])
    return (", ".join(f"{way} {size(count)}" for way, count in most) or "-",)


def _sets(snapshot: Snapshot) -> Iterator[str]:
    rows = [
        (
            item.name,
            item.comment,
            f"IPv{item.family}",
            "learned" if item.learned else "static",
            str(item.entries),
            ("-" if item.added is None else ago(item.added, snapshot.taken)) if item.learned else "",
            str(snapshot.failed_additions.get(item.name, 0)) if item.learned else "",
        )
        for item in snapshot.sets
    ]
    headings = ("SET", "HOLDS", "FAMILY", "KIND", ">ENTRIES", ">LAST ADDED", ">FAILED")
    yield from table("SETS", headings, rows)


def _countries(snapshot: Snapshot) -> Iterator[str]:
    there = snapshot.countries
    if not there.countries:
        return
    rows = [(item.code, item.networks.get("4", 0), item.networks.get("6", 0)) for item in there.countries]
    known = ", ".join(f"{code} ({v4} IPv4 and {v6} IPv6 networks)" for code, v4, v6 in rows)
    yield ""
    yield f"COUNTRIES: {known}; data of {ago(there.good, snapshot.taken)}"
    for why in (there.problem, *(item.problem for item in there.countries)):
        if why:
            yield f"  {why}"


def _dns(snapshot: Snapshot) -> Iterator[str]:
    yield ""
    dns = snapshot.dns
    if dns is None:
        yield "DNS: our dnsmasq does not answer"
        return
    total = dns.hits + dns.misses
    share = f"{dns.hits / total:.0%}" if total else "-"
    yield f"DNS: {total} queries, {share} from the cache, {dns.latency * 1000:.1f} ms, {dns.evictions} evictions"


def _pinned(snapshot: Snapshot) -> Iterator[str]:
    there = snapshot.pinned
    if there.names:
        silent = f", {there.silent} of {there.addresses} addresses do not answer" if there.silent else ""
        yield f"PINNED: {there.served} of {there.names} names{silent} (splitway names)"
    dead = ", ".join(resolver.server for resolver in snapshot.resolvers if resolver.dead)
    if dead:
        yield f"RESOLVERS that do not answer: {dead}"


def _room(snapshot: Snapshot) -> Iterator[str]:
    there = snapshot.flow_table
    if there:
        refused = f", {there.refused} packets refused for want of room" if there.refused else ""
        yield f"CONNECTIONS: {there.flows} of {there.most}{refused}"
    lost = ", ".join(f"{count} of {kind}" for kind, count in snapshot.lost.items() if count)
    if lost:
        yield f"LOST: {lost}"


def _drift(snapshot: Snapshot) -> Iterator[str]:
    drift = snapshot.drift
    healed = ", ".join(f"{section} {count}" for section, count in drift.healed.items() if count) or "nothing"
    yield f"HEALED: {healed}; {drift.refilled} learned addresses put back"
    if not drift.failures:
        yield "DRIFT: none"
    for section, why in drift.failures.items():
        lasting = f" (for {duration(snapshot.taken - drift.since[section])})" if section in drift.since else ""
        yield f"DRIFT: {section}: {why}{lasting}"
