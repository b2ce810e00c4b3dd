# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS guard and the hardening as they are written into the packet filter."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Optional

from ..state import FAMILIES, AddressSet, ClientGuard, OpenPort, PortRange
from ..topology.endpoints import literal
from ..topology.model import Topology
from . import doh_servers
from .pac import web_addresses, web_ports
from .proxies import listeners_of, wanted


def compile_guard(topology: Topology) -> ClientGuard:
    """Return what holds for every client, whatever its policy."""
    guard, hardening = topology.dns_guard, topology.hardening
    names = {entry.family: entry.name for entry in compile_doh_sets(topology)}
    return ClientGuard(
        redirect_dns=guard.redirect,
        refuse_dot=guard.refuse_dot,
        doh_v4=names.get(4, ""),
        doh_v6=names.get(6, ""),
        isolate=hardening.client_isolation,
        ports=_ports(topology),
        services=_services(topology),
        resolvers=tuple(str(address.ip) for address in topology.server.addresses),
        protect_clients=not hardening.reach_clients,
        refuse_others=FAMILIES if hardening.forward_others == "refuse" else (),
        others_as_before=hardening.forward_others == "auto",
        foreign_drop=hardening.foreign_drop,
    )


def _ports(topology: Topology) -> Optional[tuple[OpenPort, ...]]:
    """Return the gateway's open ports: the operator's, and the exporter's where it serves clients."""
    opened = topology.hardening.gateway_ports
    if opened is None:
        return None
    ports = {(entry.protocol, entry.low, entry.high) for entry in opened}
    if topology.agent.metrics is not None:
        exporter = literal(topology.agent.metrics, "")
        if ip_address(exporter.host) in {address.ip for address in topology.server.addresses}:
            ports.add(("tcp", exporter.port, exporter.port))
    return tuple(OpenPort(*entry) for entry in sorted(ports))


def _services(topology: Topology) -> tuple[PortRange, ...]:
    """Return the ports of proxies and of the web server that listen where clients come in."""
    if topology.hardening.gateway_ports is None:
        return ()
    clients = {str(address.ip) for address in topology.server.addresses}
    listening = [
        *((listener.port, listener.addresses) for proxy in wanted(topology) for listener in listeners_of(proxy)),
        *((port, web_addresses(topology)) for port in web_ports(topology)),
    ]
    return tuple(
        port
        for port, addresses in listening
        if any(address in clients or ip_address(address).is_unspecified for address in addresses)
    )


def compile_doh_sets(topology: Topology) -> tuple[AddressSet, ...]:
    """Return the sets of resolvers over HTTPS that clients are refused."""
    if not topology.dns_guard.refuse_doh:
        return ()
    return tuple(
        AddressSet(f"sw{family}h", family, None, doh_servers.addresses(family), comment="resolvers over HTTPS")
        for family in FAMILIES
    )
