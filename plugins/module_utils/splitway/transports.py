# SPDX-License-Identifier: GPL-3.0-or-later
"""How each upstream's packets travel now, where the state leaves a choice: made by the agent, honoured by every run.

The state says which transports an upstream has; the agent sees which of them works. Whoever reconciles brings the state
*with what was chosen* into the kernel, as with choices (choices.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from .state import Device, State, TransportClient, TunnelMtu

UDP, WEBSOCKET, AUTO = "udp", "websocket", "auto"
"""The ways that a tunnel's own packets take; `auto` is a transport that has both."""

MTU = 1360
"""Bytes of a packet in a tunnel over a WebSocket. With WireGuard's 32, the frame's and TLS' 26, and the headers of TCP
and IPv6 it is one packet on most paths: a lost one delays one."""


@dataclass(frozen=True)
class Carried:
    """What was chosen for one upstream."""

    way: str  # udp | websocket
    server: int = 0  # index of the server in use


CarriedBy = Mapping[str, Carried]
"""Upstream → what was chosen. One without does what the state says: UDP if it has it, and the first server."""


def way_of(upstream: str, transport: str, chosen: CarriedBy) -> str:
    """Return the way that an upstream's packets take; a choice that its transport does not allow counts for nothing."""
    if transport != AUTO:
        return transport
    found = chosen.get(upstream)
    return WEBSOCKET if found is not None and found.way == WEBSOCKET else UDP


def with_transports(state: State, chosen: CarriedBy) -> State:
    """Return the state with each upstream on the way that was chosen: its endpoint, its MTU, its server.

    Each section for itself: a step of a run has one only. Ports must be those of this host already (ports.py).
    """
    transports, marks = state.transports, state.marks
    if transports is not None:
        clients = tuple(_client(client, chosen) for client in transports.clients)
        transports = dataclasses.replace(transports, clients=clients)
    if marks is not None:
        tunnels = tuple(_tunnel(tunnel, chosen) for tunnel in marks.tunnel_mtus)
        marks = dataclasses.replace(marks, tunnel_mtus=tunnels)
    devices = tuple(_device(device, chosen) for device in state.upstreams)
    return dataclasses.replace(state, transports=transports, upstreams=devices, marks=marks)


def _client(client: TransportClient, chosen: CarriedBy) -> TransportClient:
    found = chosen.get(client.upstream)
    server = found.server if found is not None and 0 <= found.server < len(client.servers) else 0
    return client if server == client.server else dataclasses.replace(client, server=server)


def _device(device: Device, chosen: CarriedBy) -> Device:
    if device.websocket is None or way_of(device.name, device.transport, chosen) == UDP:
        return device
    peers = tuple(dataclasses.replace(peer, endpoint=websocket_of(device)) for peer in device.peers)
    mtu = MTU if device.mtu_from_path else device.mtu
    return dataclasses.replace(device, peers=peers, mtu=mtu, mtu_from_path=False)


def websocket_of(device: Device) -> str:
    """Return the near end of a tunnel's WebSocket, "address:port" of this host; "" when it has none."""
    return "" if device.websocket is None else f"127.0.0.1:{device.websocket.port}"


def by_websocket(device: Device) -> bool:
    """Return whether a tunnel, as it is now, leads to its WebSocket."""
    local = websocket_of(device)
    return bool(local) and any(peer.endpoint == local for peer in device.peers)


def _tunnel(tunnel: TunnelMtu, chosen: CarriedBy) -> TunnelMtu:
    """Return a tunnel's MTU; one that the operator wrote has no endpoint and stays."""
    if not tunnel.endpoint or way_of(tunnel.upstream, tunnel.transport, chosen) == UDP:
        return tunnel
    return dataclasses.replace(tunnel, mtu=MTU, endpoint="")
