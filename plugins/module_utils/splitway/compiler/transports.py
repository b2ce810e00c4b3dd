# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstreams, server and exits with a WebSocket → the section `transports`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Optional

from ..relay.delivery import EXIT_FOLDER, FOLDER, place
from ..state import (
    HTTP,
    TRANSPORT_USER,
    WIREGUARD,
    Forwarding,
    PortRange,
    Program,
    TransportClient,
    Transports,
    TransportServer,
    TransportTarget,
)
from ..topology import model
from .carriage import local_port
from .egress import interface_of
from .proxies import wanted

LOOPBACK = "127.0.0.1"
FAR_PROXY = f"{LOOPBACK}:3128"
"""Where an exit's HTTP proxy listens, for its WebSocket's clients alone. The gateways speak SOCKS5 in front of it."""


def compile_transports(topology: model.Topology, numbers: Mapping[str, int]) -> Optional[Transports]:
    """Return the gateway's section; None: it has no WebSocket."""
    clients = tuple(
        _client(upstream, upstream.websocket, interface_of(numbers[upstream.name], topology.table_base), topology)
        for upstream in topology.upstreams
        if upstream.enabled and upstream.websocket is not None
    )
    websocket = topology.server.websocket
    target = TransportTarget("udp", f"{LOOPBACK}:{topology.server.listen_port}")
    servers = () if websocket is None else (_server("gateway", websocket, (target,)),)
    if not clients and not servers:
        return None
    return Transports(clients, servers, compile_programs(topology.programs))


def compile_exit(exit_node: model.ExitNode) -> Transports:
    """Return an exit's section: it is all that an exit has of a state."""
    if exit_node.websocket is None:
        return Transports()
    targets = [TransportTarget("udp", f"{LOOPBACK}:{exit_node.listen_port}")]
    if exit_node.websocket.proxies:
        targets.append(TransportTarget("tcp", FAR_PROXY))
    server = _server("exit", exit_node.websocket, tuple(targets))
    return Transports((), (server,), compile_programs(exit_node.programs, EXIT_FOLDER))


def compile_users(topology: model.Topology) -> tuple[str, ...]:
    """Return the users whose packets and questions the gateway's own policy leaves alone, since they carry tunnels."""
    carried = any(upstream.enabled and upstream.websocket is not None for upstream in topology.upstreams)
    return (TRANSPORT_USER,) if carried or topology.server.websocket is not None else ()


def compile_programs(sources: tuple[model.ProgramSource, ...], folder: str = FOLDER) -> tuple[Program, ...]:
    """Return where the programs are on the host."""
    return tuple(Program(source.name, place(source, folder)) for source in sources)


def _client(
    upstream: model.Upstream, websocket: model.Websocket, interface: str, topology: model.Topology
) -> TransportClient:
    return TransportClient(
        upstream=upstream.name,
        interface=interface,
        program=websocket.program,
        servers=websocket.servers,
        path=websocket.path,
        forwardings=tuple(_forwardings(upstream, websocket, topology)),
        verify=websocket.verify,
        ca=websocket.ca or "",
        server_name=websocket.server_name or "",
        certificate=websocket.certificate or "",
        key=websocket.key or "",
        minimum_idle=websocket.minimum_idle,
        ping=websocket.ping,
    )


def _forwardings(
    upstream: model.Upstream, websocket: model.Websocket, topology: model.Topology
) -> Iterator[Forwarding]:
    """Yield what is carried: WireGuard, and what proxies of ours need of the exit's."""
    needed = any(proxy.upstream == upstream.name for proxy in wanted(topology))
    targets = {WIREGUARD: websocket.target, **({HTTP: FAR_PROXY} if needed else {})}
    for kind, target in targets.items():
        port = local_port(upstream, kind)
        if port is not None:
            yield Forwarding(kind, "udp" if kind == WIREGUARD else "tcp", port, target)


def _server(name: str, websocket: model.WebsocketServer, targets: tuple[TransportTarget, ...]) -> TransportServer:
    return TransportServer(
        name=name,
        program=websocket.program,
        listen=websocket.listen,
        port=PortRange("transport/server", websocket.ports.first, websocket.ports.last),
        path=websocket.path,
        certificate=websocket.certificate,
        key=websocket.key,
        targets=targets,
        client_ca=websocket.client_ca or "",
    )
