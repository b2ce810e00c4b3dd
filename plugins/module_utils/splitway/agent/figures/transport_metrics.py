# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of how packets travel: ways, WebSockets, modes."""

from __future__ import annotations

from collections.abc import Iterator

from .families import Metric, counter, gauge
from .snapshot import Snapshot
from .transports import TransportStatus

_STATES = {"up": 1.0, "standby": 1.0, "down": 0.0}


def transports(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield the metrics of ways, WebSockets and modes."""
    yield from _modes(snapshot)
    yield from _ways(snapshot)
    near = tuple(item for item in snapshot.transports if item.end == "near")
    yield from _states(near)
    yield from _connections(near)
    label, every = ("transport", "end"), snapshot.transports
    text = "When the certificate of the server in use expires."
    expiries = (((item.name, item.end), item.expires) for item in every)
    yield gauge("transport_certificate_expiry_timestamp_seconds", text, label, expiries)
    text = "1: a port is not the first of its range, which somebody else has."
    yield gauge("transport_port_moved", text, label, (((item.name, item.end), bool(item.moved)) for item in every))


def _modes(snapshot: Snapshot) -> Iterator[Metric]:
    mode = snapshot.mode
    yield gauge("mode_info", "The mode in force.", ("mode",), [((mode.used,), 1)] if mode.used else [])
    fallen = [((), mode.used != mode.operators)] if mode.used else []
    yield gauge("mode_fallen_back", "1: another mode than the operator's is in force.", (), fallen)
    yield counter("mode_changes", "Changes of the mode in force.", (), [((), mode.changes)] if mode.used else [])


def _ways(snapshot: Snapshot) -> Iterator[Metric]:
    label, every = ("upstream",), snapshot.upstreams
    text = "1: the tunnel's packets go over a WebSocket; 0: by UDP."
    yield gauge("upstream_by_websocket", text, label, (((u.name,), u.way == "websocket") for u in every))
    text = "1: that is since UDP does not work."
    yield gauge("upstream_fallen_back", text, label, (((u.name,), u.fallen_back) for u in every))
    text = "Changes between UDP and the WebSocket."
    yield counter("upstream_way_changes", text, label, (((u.name,), u.way_changes) for u in every))


def _states(near: tuple[TransportStatus, ...]) -> Iterator[Metric]:
    label = ("upstream",)
    text = "1: the WebSocket carries data, or is ready to; 0: it does not."
    yield gauge("transport_up", text, label, (((item.name,), _STATES.get(item.state)) for item in near))
    text = "1: another server than the first is in use."
    yield gauge("transport_backup", text, label, (((item.name,), item.backup) for item in near))
    text = "Starts of the WebSocket's programs because it carried nothing."
    yield counter("transport_restarts", text, label, (((item.name,), item.restarts) for item in near))
    text = "Changes of the server in use."
    yield counter("transport_server_changes", text, label, (((item.name,), item.changes) for item in near))


def _connections(near: tuple[TransportStatus, ...]) -> Iterator[Metric]:
    label = ("upstream",)
    text = "TCP connections to the server, those that are kept ready included."
    yield gauge("transport_connections", text, label, (((item.name,), item.connections) for item in near))
    text = "New connections in the place of one that carried data."
    yield counter("transport_reconnects", text, label, (((item.name,), item.reconnects) for item in near))
    text = "Bytes from the server, as TCP counts them."
    yield counter("transport_received_bytes", text, label, (((item.name,), item.received) for item in near))
    text = "Bytes to the server, as TCP counts them."
    yield counter("transport_sent_bytes", text, label, (((item.name,), item.sent) for item in near))
    text = "Round trip of the connection that carries data, as TCP measures it."
    yield gauge("transport_round_trip_seconds", text, label, (((item.name,), item.rtt) for item in near))
    text = "Share of the segments that were sent again, smoothed."
    yield gauge("transport_loss_ratio", text, label, (((item.name,), item.loss) for item in near))
