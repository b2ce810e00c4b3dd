# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of a busy gateway."""

from __future__ import annotations

from splitway.agent.figures.dns_statistics import DnsStatistics, Server
from splitway.agent.figures.flow_table import FlowTable
from splitway.agent.figures.resolving import PinnedStatus, ResolverStatus
from splitway.agent.figures.snapshot import (
    ClientStatus,
    CountriesStatus,
    CountryStatus,
    Drift,
    GroupStatus,
    SetStatus,
    Snapshot,
    UpstreamStatus,
)
from splitway.agent.figures.transports import ModeStatus, TransportStatus

NOW = 1795316400.0


def snapshot(clients: int = 2) -> Snapshot:
    """Return one with two upstreams, one of them down, and so many clients."""
    return Snapshot(
        taken=NOW,
        started=NOW - 90061,
        engine="0123456789abcdef",
        generation="fedcba9876543210",
        applied=NOW - 7200,
        upstreams=(
            UpstreamStatus(
                *("us", "wg-up-1", 101, "up", NOW - 4000, 0.0312, 0.01, NOW - 61, 5_000_000_000, 70_000_000, 1),
                mtu=1412,
                full_size=False,
                way="websocket",
                fallen_back=True,
                way_changes=3,
            ),
            UpstreamStatus(
                *("eu", "wg-up-2", 102, "down", NOW - 5, None, 1.0),
                silent=("icmp 192.0.2.1",),
                why="none of 2 targets answered",
            ),
        ),
        groups=(GroupStatus("video", "failover", {"us": 1}, False, 3), GroupStatus("eu", "failover", {}, True, 1)),
        clients=tuple(
            ClientStatus(
                f"client-{number}",
                (f"10.8.{number // 250}.{number % 250 + 2}", f"fdcc::{number:x}"),
                NOW - number,
                "192.0.2.7:40000",
                1_000_000,
                2_000_000,
                {"direct": 1000 + number, "us": 2_500_000},
                expires=NOW + 90000 if number == 0 else None,
            )
            for number in range(clients)
        ),
        sets=(
            SetStatus("sw4d1", "list video", 4, True, 812, NOW - 30),
            SetStatus("sw6d1", "list video", 6, True, 0),
            SetStatus("sw4n1", "list office", 4, False, 12),
        ),
        rules={"domain": 412, "network": 12},
        split_clients=clients,
        drift=Drift(
            {"routes": 2, "sets": 1},
            17,
            {"dns": "port 53 is taken: named listens on 0.0.0.0 (udp)"},
            {"dns": NOW - 180},
        ),
        dns=DnsStatistics(10000, 900, 3, 4000, 1000, 0.0004, (Server("192.0.2.53#53", 1000, 2),)),
        failed_additions={"sw4d1": 4},
        lost_flows=1,
        flow_table=FlowTable(250_000, 262_144, 7),
        lost={"answers": 3, "journal": 0},
        countries=CountriesStatus(
            (CountryStatus("cn", {"4": 6612, "6": 5136}), CountryStatus("jp", problem="country jp: there is no data")),
            *(86400, NOW - 7200, "https://example.com/geo.csv: the server says 503 Service Unavailable"),
        ),
        resolvers=(
            ResolverStatus("192.0.2.53#53", 5000, 7, 0.021),
            ResolverStatus("1.1.1.1#53 through wg-up-1", 40, 40, None, dead=True),
        ),
        transports=(
            TransportStatus(
                *("us", "near", "wstunnel", "up", "wss://exit.example.net:8443", True, 2, "no answer by TLS"),
                *(6, 2, 3, 1, 9_000_000, 800_000, 0.0412, 0.013, NOW + 4 * 86400, ("wireguard 41002",)),
            ),
            TransportStatus("eu", "near", "websocat", "down", "wss://192.0.2.9:443"),
            TransportStatus("gateway", "far", "wstunnel", "unknown", "port 443", expires=NOW + 300 * 86400),
        ),
        mode=ModeStatus("proxy", "combined", 1),
        pinned=PinnedStatus(names=20, served=19, addresses=63, silent=4),
    )
