# SPDX-License-Identifier: GPL-3.0-or-later
"""`health` of an upstream: what is asked for through its tunnel, how often, and when it counts as down."""

from __future__ import annotations

from typing import Any, Callable, Optional

from .domains import domain
from .endpoints import literal
from .errors import TopologyError, shown
from .model import Address, Endpoint, Health, Network, Probe
from .networks import address, usable
from .reading import Fields, good, mappings
from .scalars import boolean, milliseconds, number

KEYS = ("probes", "interval", "timeout", "down", "up", "restart")
KINDS = ("icmp", "tcp", "dns")
FASTEST, SLOWEST = 0.2, 3600  # seconds from one round of probes to the next
LONGEST_TIMEOUT = 60  # seconds
MOST_STRIKES = 100


def read_health(upstream: Fields, ways: tuple[Network, ...]) -> Health:
    """Return the health settings of an upstream; `ways`: the networks that its tunnel can carry packets to."""
    fields = Fields(upstream.report, f"{upstream.path}.health", upstream.values.get("health"), KEYS)
    interval = fields.get_or("interval", milliseconds("an interval", FASTEST, SLOWEST), Health.interval)
    timeout = fields.get("timeout", milliseconds("a time to wait", 0.1, LONGEST_TIMEOUT))
    if timeout is not None and timeout > interval:
        fields.report.add(
            f"{fields.path}.timeout", f"{timeout / 1000:g} is longer than interval ({interval / 1000:g} s)"
        )
    rounds = number("a number of rounds", 1, MOST_STRIKES)
    return Health(
        probes=_probes(fields, ways),
        interval=interval,
        timeout=min(Health.timeout, interval) if timeout is None else timeout,
        down=fields.get_or("down", rounds, Health.down),
        up=fields.get_or("up", rounds, Health.up),
        restart=fields.get_or("restart", boolean, default=Health.restart),
    )


def _probes(fields: Fields, ways: tuple[Network, ...]) -> tuple[Probe, ...]:
    probes = []
    path = f"{fields.path}.probes"
    if fields.values.get("probes") == []:
        fields.report.add(path, "is empty: leave it out for the usual probes")
    for entry_path, entry in mappings(fields.report, path, fields.values.get("probes")):
        probe = _probe(Fields(fields.report, entry_path, entry, (*KINDS, "name")))
        if probe is not None and not any(probe.address in network for network in ways):
            fields.report.add(
                entry_path, f'"{probe.address}" is not reached through this upstream: see its addresses and allowed_ips'
            )
        probes.append(probe)
    return good(probes)


def _probe(fields: Fields) -> Optional[Probe]:
    given = [kind for kind in KINDS if fields.given(kind)]
    if len(given) != 1:
        has = " and ".join(given) or "no target"
        fields.report.add(fields.path, f"has {has}: a probe has exactly one of icmp, tcp, dns")
        return None
    kind = given[0]
    if kind == "dns":
        where, name = fields.get("dns", _at("where a DNS server answers")), fields.require("name", domain)
        return None if where is None or name is None else Probe(kind, where, name=name)
    if fields.given("name"):
        fields.report.add(f"{fields.path}.name", "means something for dns only")
    if kind == "tcp":
        connection = fields.get("tcp", _connection)
        return None if connection is None else Probe(kind, address(connection.host), connection.port)
    where = fields.get("icmp", _at("of a host"))
    return None if where is None else Probe(kind, where)


def _at(whose: str) -> Callable[[Any], Address]:
    """Return the parser of a host's address; a name would have to be resolved, which is what may be broken."""

    def parse(value: Any) -> Address:
        try:
            return usable(address(value), str(value))
        except TopologyError:
            raise TopologyError(f"{shown(value)} is not an address {whose}") from None

    return parse


def _connection(value: Any) -> Endpoint:
    where = literal(value, "where a connection is made to")
    usable(address(where.host), str(value))
    return where
