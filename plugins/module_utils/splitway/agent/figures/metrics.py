# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's numbers for Prometheus: one collector that reads a snapshot at each scrape.

How many series there are is bounded by the topology: docs/monitoring.md has a table. Clients and sets beyond
MOST_CLIENTS and MOST_SETS have no series of their own, only their part in the sums.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from typing import Any, Optional
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

from ...state import SECTIONS
from .families import Metric, counter, gauge
from .snapshot import ACTIVE, Snapshot
from .transport_metrics import transports

MOST_CLIENTS = 2000
MOST_SETS = 2000

Take = Callable[[], Optional[Snapshot]]
"""Returns the snapshot of now, None where there is none yet. It is called in a thread of the exporter's."""


class SnapshotCollector(Collector):
    """Turns snapshots into metrics."""

    def __init__(self, take: Take) -> None:
        self._take = take

    def describe(self) -> list[Metric]:
        """Return nothing: a registry would else take a snapshot to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of a snapshot that is taken now."""
        snapshot = self._take()
        if snapshot is not None:
            yield from metrics_of(snapshot)


def metrics_of(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield all metrics of a snapshot; those that have no value now, without samples."""
    for part in (
        _agent,
        _totals,
        _upstreams,
        _groups,
        _traffic,
        _sets,
        _countries,
        _drift,
        _dns,
        _resolving,
        transports,
    ):
        yield from part(snapshot)


def _agent(snapshot: Snapshot) -> Iterator[Metric]:
    labels = ("engine", "generation")
    yield gauge(
        *("agent_info", "The agent's version and the generation that it keeps.", labels),
        [((snapshot.engine[:12], snapshot.generation[:12]), 1)],
    )
    yield gauge("agent_start_time_seconds", "When the agent started.", (), [((), snapshot.started)])
    yield gauge(
        "last_apply_timestamp_seconds", "When site.yml published its last generation.", (), [((), snapshot.applied)]
    )
    yield gauge(
        *("generation_damaged", "Whether the generation's file is damaged and the one before it is used.", ()),
        [((), bool(snapshot.problem))],
    )


def _totals(snapshot: Snapshot) -> Iterator[Metric]:
    active = sum(client.seen is not None and snapshot.taken - client.seen < ACTIVE for client in snapshot.clients)
    counts = {"enabled": len(snapshot.clients), "split": snapshot.split_clients, "active": active}
    counts["expired"] = snapshot.expired_clients
    text = (
        "Clients: that are enabled; whose policy is more than everything directly; with a handshake in the last 3 min; "
        "whose time is up, of those that are enabled."
    )
    yield gauge("clients", text, ("status",), (((status,), count) for status, count in counts.items()))
    working = sum(upstream.state == "up" for upstream in snapshot.upstreams)
    counts = {"enabled": len(snapshot.upstreams), "active": working}
    text = "Upstreams: that are enabled; that are up."
    yield gauge("upstreams", text, ("status",), (((status,), count) for status, count in counts.items()))
    text = "Domains and networks that rules match."
    yield gauge("rules", text, ("kind",), (((kind,), count) for kind, count in snapshot.rules.items()))


def _upstreams(snapshot: Snapshot) -> Iterator[Metric]:
    label, every, now = ("upstream",), snapshot.upstreams, snapshot.taken
    yield gauge(
        *("upstream_up", "1: up, or not known yet; 0: down.", label), (((u.name,), u.state != "down") for u in every)
    )
    yield gauge(
        *("upstream_latency_seconds", "Round trip of the probes, smoothed.", label),
        (((u.name,), u.latency) for u in every),
    )
    yield gauge(
        *("upstream_loss_ratio", "Share of the last 100 probes that were lost.", label),
        (((u.name,), u.loss) for u in every),
    )
    ages = (((u.name,), None if u.handshake is None else max(0.0, now - u.handshake)) for u in every)
    yield gauge("upstream_handshake_age_seconds", "Time since WireGuard's last handshake.", label, ages)
    targets = (((u.name,), len(u.silent)) for u in every)
    yield gauge("upstream_silent_targets", "Probe targets that never answered.", label, targets)
    received = (((u.name,), u.received) for u in every)
    yield counter("upstream_received_bytes", "Bytes from the exit, as WireGuard counts them.", label, received)
    sent = (((u.name,), u.sent) for u in every)
    yield counter("upstream_sent_bytes", "Bytes to the exit, as WireGuard counts them.", label, sent)
    restarts = (((u.name,), u.restarts) for u in every)
    yield counter("upstream_restarts", "Repairs of an upstream that was down.", label, restarts)
    mtus = (((u.name,), u.mtu) for u in every)
    yield gauge("upstream_mtu_bytes", "How large a packet in the tunnel may be.", label, mtus)
    full = (((u.name,), u.full_size) for u in every)
    yield gauge("upstream_full_size", "1: packets as large as the MTU come back; 0: only small ones do.", label, full)


def _groups(snapshot: Snapshot) -> Iterator[Metric]:
    switches = (((group.name,), group.switches) for group in snapshot.groups)
    yield counter("failovers", "Changes of the way that new connections of a group take.", ("group",), switches)
    weights = (
        ((group.name, way), weight)
        for group in snapshot.groups
        for way, weight in ({"direct": 1} if group.direct else group.ways or {"block": 1}).items()
    )
    text = "Where new connections of a group go, by weight."
    yield gauge("group_way_weight", text, ("group", "egress"), weights)


def _traffic(snapshot: Snapshot) -> Iterator[Metric]:
    shown = snapshot.clients[:MOST_CLIENTS]
    samples = (((client.name, way), count) for client in shown for way, count in client.bytes.items())
    yield counter("client_bytes", "Bytes of a client's connections, both directions.", ("client", "egress"), samples)
    sums: Counter[str] = Counter()
    for client in snapshot.clients:
        sums.update(client.bytes)
    text = "Bytes of all clients' connections, both directions."
    yield counter("egress_bytes", text, ("egress",), (((way,), count) for way, count in sums.items()))
    text = "When a client's time is up, or was."
    yield gauge("client_expires_timestamp_seconds", text, ("client",), (((c.name,), c.expires) for c in shown))
    omitted = len(snapshot.clients) - len(shown)
    yield gauge("clients_omitted", f"Clients beyond {MOST_CLIENTS}, without series of their own.", (), [((), omitted)])
    text = "Times that connections ended faster than the agent counted them."
    yield counter("flow_events_lost", text, (), [((), snapshot.lost_flows)])
    there = snapshot.flow_table
    yield gauge("connections", "Connections in the kernel's table.", (), [((), there.flows)] if there else [])
    yield gauge("connections_limit", "Connections that it takes.", (), [((), there.most)] if there else [])
    text = "Packets that were dropped since it had no room."
    yield counter("connections_refused", text, (), [((), there.refused)] if there else [])
    text = "What came faster than the agent could keep it."
    yield counter("lost", text, ("kind",), (((kind,), count) for kind, count in snapshot.lost.items()))


def _sets(snapshot: Snapshot) -> Iterator[Metric]:
    labels, now, shown = ("set", "holds", "family"), snapshot.taken, snapshot.sets[:MOST_SETS]
    names = [(item.name, item.comment, str(item.family)) for item in shown]
    yield gauge("set_entries", "Addresses or networks in a set.", labels, zip(names, (float(i.entries) for i in shown)))
    ages = (None if item.added is None else max(0.0, now - item.added) for item in shown)
    text = "Time since something was added to a set of learned addresses."
    yield gauge("set_last_addition_age_seconds", text, labels, zip(names, ages))
    kinds: Counter[str] = Counter()
    for item in snapshot.sets:
        kinds["learned" if item.learned else "static"] += item.entries
    yield gauge(
        "entries", "Addresses and networks in all sets.", ("kind",), (((k,), count) for k, count in kinds.items())
    )
    # A counter that appears with its first failure would not have risen, to Prometheus.
    counts = {**{item.name: 0 for item in shown if item.learned}, **snapshot.failed_additions}
    worst = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_SETS]
    text = "Additions to a set that failed: it is full; or dnsmasq says so (nftables)."
    yield counter("failed_additions", text, ("set",), (((name,), count) for name, count in worst))


def _countries(snapshot: Snapshot) -> Iterator[Metric]:
    there = snapshot.countries
    text = "Networks of a country that rules name."
    counts = (((item.code, family), n) for item in there.countries for family, n in item.networks.items())
    yield gauge("country_networks", text, ("country", "family"), counts)
    ages = [((), max(0.0, snapshot.taken - there.good))] if there.good is not None else []
    text = "Time since the sources of countries' data were last read with nothing wrong."
    yield gauge("country_data_age_seconds", text, (), ages)
    text = "Time after which they are read again."
    yield gauge("country_data_refresh_seconds", text, (), [((), there.refresh)] if there.countries else [])


def _drift(snapshot: Snapshot) -> Iterator[Metric]:
    drift, label = snapshot.drift, ("section",)
    healed = (((section,), drift.healed.get(section, 0)) for section in SECTIONS)
    yield counter("healed_changes", "Changes that were brought back.", label, healed)
    text = "Learned addresses that were missing in their set and were put back."
    yield counter("refilled_addresses", text, (), [((), drift.refilled)])
    unhealed = (((section,), section in drift.failures) for section in SECTIONS)
    yield gauge("drift", "Whether a section is out of order and cannot be healed.", label, unhealed)


def _dns(snapshot: Snapshot) -> Iterator[Metric]:
    dns = snapshot.dns
    yield gauge("dns_up", "Whether our dnsmasq answers.", (), [((), dns is not None)])
    results = {"hit": dns.hits, "miss": dns.misses} if dns else {}
    text = "Queries that dnsmasq answered from its cache or its own knowledge (hit), or asked a server for (miss)."
    yield counter("dns_queries", text, ("result",), (((result,), count) for result, count in results.items()))
    latency = [((), dns.latency)] if dns else []
    yield gauge("dns_latency_seconds", "Time of an answer for which no server is asked.", (), latency)
    insertions, evictions = ([((), dns.insertions)], [((), dns.evictions)]) if dns else ([], [])
    yield counter("dns_cache_insertions", "Names put into dnsmasq's cache.", (), insertions)
    text = "Names that left dnsmasq's cache before their time: it is too small."
    yield counter("dns_cache_evictions", text, (), evictions)
    servers, label = dns.servers if dns else (), ("server",)
    asked = (((server.address,), server.asked) for server in servers)
    yield counter("dns_server_queries", "Queries sent to a server.", label, asked)
    failed = (((server.address,), server.failed) for server in servers)
    yield counter("dns_server_failures", "Queries that a server did not answer well.", label, failed)


def _resolving(snapshot: Snapshot) -> Iterator[Metric]:
    every, label = snapshot.resolvers, ("server",)
    text = "Time of a resolver's answer to the agent, smoothed."
    yield gauge("resolver_latency_seconds", text, label, (((r.server,), r.latency) for r in every))
    yield gauge(
        "resolver_up", "0: it is not asked, since it did not answer.", label, (((r.server,), not r.dead) for r in every)
    )
    yield counter("resolver_queries", "Questions of the agent's.", label, (((r.server,), r.asked) for r in every))
    text = "Questions of the agent's without a good answer in time."
    yield counter("resolver_failures", text, label, (((r.server,), r.failed) for r in every))
    pinned = snapshot.pinned
    counts = {"all": pinned.names, "served": pinned.served}
    text = "Pinned names: all; those that clients are answered with addresses that live."
    yield gauge("pinned_names", text, ("status",), (((status,), count) for status, count in counts.items()))
    counts = {"all": pinned.addresses, "silent": pinned.silent}
    text = "Addresses of pinned names: all; those that did not answer when they were tried last."
    yield gauge("pinned_addresses", text, ("status",), (((status,), count) for status, count in counts.items()))


class Exporter:
    """Serves the metrics by HTTP until it is closed."""

    def __init__(self, address: str, take: Take) -> None:
        """Serve at "address:port". Raises OSError when that is taken, or not an address of this host."""
        self.address = address
        registry = CollectorRegistry()
        registry.register(SnapshotCollector(take))
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        kind = _Server6 if ":" in host else _Server
        self._server = make_server(host, int(port), make_wsgi_app(registry), kind, _SilentHandler)
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Serve no longer; takes up to half a second."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _SilentHandler(WSGIRequestHandler):
    timeout = 10  # seconds that a scraper may be silent

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: a line a scrape would be all there is in the journal."""
