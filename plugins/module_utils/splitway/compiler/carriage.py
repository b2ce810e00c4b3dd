# SPDX-License-Identifier: GPL-3.0-or-later
"""How a tunnel's own packets travel, and by which ports of the gateway's loopback."""

from __future__ import annotations

from typing import Optional
from urllib.parse import urlsplit

from ..state import PortRange
from ..topology import model
from ..transports import AUTO, UDP, WEBSOCKET


def transport_of(upstream: model.Upstream) -> str:
    """Return how a tunnel's packets may travel: udp, websocket, or auto."""
    return upstream.transport if upstream.transport in (UDP, AUTO) else WEBSOCKET


def local_port(upstream: model.Upstream, kind: str) -> Optional[PortRange]:
    """Return the gateway's port that leads through an upstream's WebSocket, None when it has none."""
    if upstream.websocket is None:
        return None
    ports = upstream.websocket.ports
    return PortRange(f"transport/{upstream.name}/{kind}", ports.first, ports.last)


def hosts_of(upstream: model.Upstream) -> tuple[str, ...]:
    """Return the hosts that a tunnel's own packets go to, by UDP and by its WebSocket: names and addresses."""
    servers = upstream.websocket.servers if upstream.websocket is not None else ()
    return (upstream.endpoint.host, *(urlsplit(url).hostname or "" for url in servers))
