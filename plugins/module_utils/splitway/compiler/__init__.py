# SPDX-License-Identifier: GPL-3.0-or-later
"""Topology → State. Pure: no clock, no network, no files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Optional

from ..state import AddressSet, Device, Dns, Forward, Marks, Peer, PreviousKey, Resolving, State
from ..topology.model import Client, Topology
from ..topology.modes import has_wireguard
from ..topology.numbering import number_owners
from . import doh_servers
from .agent import compile_agent, compile_countries
from .egress import BASE, TUNNELS, compile_egresses, compile_tunnels, number_egresses, own_mark, tunnel_mtu
from .folding import fold, unfold
from .groups import compile_groups
from .guard import compile_doh_sets, compile_guard
from .lists import flatten, used_egresses
from .numbers import CompileError
from .pac import compile_records, compile_web
from .pinned import compile_resolving
from .policies import Matching, compile_family, compile_matching, number_policies
from .proxies import compile_accounts, compile_proxies, modes_of, number_proxies
from .rates import compile_rates
from .resolvers import asked_egresses, compile_forwards
from .routes import compile_routes
from .sources import compile_host, compile_lan, compile_unknown, proxy_policies, with_sources
from .transports import compile_transports

# Browsers and systems that ask for these and hear that they do not exist leave their own ways of asking names off:
# Firefox its DoH, Apple's systems their private relay.
CANARIES = ("mask-h2.icloud.com", "mask.icloud.com", "use-application-dns.net")

__all__ = ["CompileError", "compile_state"]


def compile_state(topology: Topology, numbers: Mapping[str, int]) -> State:
    """Return what the gateway must be, given the numbers that it already uses.

    Raises CompileError when the topology exceeds what marks, tables or sets can number.
    """
    numbers = unfold(numbers)
    flattened = flatten(with_sources(topology), numbers)
    egresses = number_egresses(topology, numbers)
    switchboard = compile_groups(topology, egresses, used_egresses(flattened) | asked_egresses(topology, flattened))
    matching = compile_matching(topology, flattened, numbers)
    policies = number_policies(topology, flattened, numbers)
    tunnels = compile_tunnels(topology, egresses)
    qos, rates = compile_rates(topology, numbers)
    proxies, own = number_proxies(topology, numbers), proxy_policies(topology, flattened, policies)
    matching.sets += compile_doh_sets(topology)
    sets, networks = _by_backend(matching, topology.backend)
    countries = {entry.name: entry.country for entry in matching.sets if entry.country}
    agent = compile_agent(topology, egresses, switchboard)
    dns = _dns(topology, tuple(matching.lines), compile_forwards(topology, flattened, switchboard, egresses))
    resolving = compile_resolving(topology, flattened, egresses, dns.absent)
    found = compile_proxies(topology, proxies, own)
    state = State(
        backend=topology.backend,
        numbers=fold(
            {
                BASE: topology.table_base,
                **{f"egress:{name}": egresses[name] for name in number_owners(topology)},
                **matching.numbers,
                **policies,
                **rates,
                **{f"proxy:{name}": number for name, number in proxies.items()},
            }
        ),
        server=_server(topology),
        upstreams=tunnels,
        routes=compile_routes(topology, egresses, switchboard, flattened),
        sets=sets,
        dns=dataclasses.replace(dns, pinned_ttl=_pinned_ttl(resolving)),
        marks=Marks(
            interface=topology.server.interface,
            tunnels=TUNNELS,
            mask=topology.mark_mask,
            egresses=compile_egresses(topology, egresses, switchboard),
            v4=compile_family(4, topology, flattened, matching, policies, egresses),
            v6=compile_family(6, topology, flattened, matching, policies, egresses),
            networks=networks,
            lan=compile_lan(topology, flattened, policies),
            unknown=compile_unknown(topology, flattened, policies),
            host=compile_host(topology, flattened, policies, compile_accounts(topology, proxies, own)),
            tunnel_mtus=tuple(map(tunnel_mtu, tunnels)),
            countries=countries,
            guard=compile_guard(topology),
        ),
        agent=dataclasses.replace(
            agent, countries=compile_countries(topology.countries) if countries else None, resolving=resolving
        ),
        qos=qos,
        transports=compile_transports(topology, egresses),
        proxies=found,
        web=compile_web(topology, found),
        network_namespace=topology.network_namespace,
    )
    return state if has_wireguard(modes_of(topology)) else _without_tunnels(state)


def _without_tunnels(state: State) -> State:
    """Return the state of a gateway that has proxies only; what is numbered keeps its numbers."""
    agent = state.agent and dataclasses.replace(
        state.agent, watches=(), groups=(), warm_up=False, countries=None, resolving=Resolving()
    )
    none = State()
    return dataclasses.replace(
        state,
        server=None,
        upstreams=(),
        routes=none.routes,
        sets=(),
        dns=None,
        marks=None,
        qos=None,
        agent=agent,
    )


def _by_backend(matching: Matching, backend: str) -> tuple[tuple[AddressSet, ...], dict[str, tuple[str, ...]]]:
    """Return the kernel's named sets, and the networks that live in chains instead.

    On nftables every set of intervals on the host slows dnsmasq's additions down, from 60 µs to 419 ms
    with 100,000 networks (measured): there, static networks are matches of chains (marks/networks.py).
    """
    if backend != "nftables":
        return tuple(matching.sets), {}
    learned = tuple(entry for entry in matching.sets if entry.timeout is not None)
    networks = (entry for entry in matching.sets if entry.timeout is None and not entry.country)
    return learned, {entry.name: entry.members for entry in networks}


def _dns(topology: Topology, lines: tuple[str, ...], forwards: tuple[Forward, ...]) -> Dns:
    names, guard = topology.dns, topology.dns_guard
    return Dns(
        interface=topology.server.interface,
        servers=names.servers,
        lines=lines,
        max_ttl=names.max_ttl,
        cache_size=names.cache_size,
        forwards=forwards,
        absent=(*(CANARIES if guard.canary else ()), *(sorted(doh_servers.SERVERS) if guard.refuse_doh else ())),
        filtered=(*(("HTTPS", "SVCB") if guard.filter_https else ()), *(("AAAA",) if names.filter_aaaa else ())),
        tls=names.tls,
        lan=tuple(sorted({entry.interface for entry in topology.lan_clients})),
        for_host=topology.host_policy is not None,
        records=compile_records(topology),
    )


def _pinned_ttl(resolving: Resolving) -> Optional[int]:
    """Return the seconds that clients keep a pinned name's addresses; None: none is pinned."""
    return max(1, resolving.interval // 2000) if resolving.pinned else None


def _server(topology: Topology) -> Device:
    server = topology.server
    return Device(
        name="server",
        interface=server.interface,
        private_key=server.private_key,
        addresses=tuple(map(str, server.addresses)),
        listen_port=server.listen_port,
        mtu=server.mtu,
        mark=None if server.adopt else own_mark(topology),
        adopted=server.adopt,
        peers=tuple(
            Peer(
                name=client.name,
                public_key=client.public_key,
                allowed_ips=tuple(f"{address}/{address.max_prefixlen}" for address in client.addresses),
                preshared_key=client.preshared_key,
                expires=client.expires,
                previous=_previous(client),
            )
            for client in topology.clients
        ),
    )


def _previous(client: Client) -> Optional[PreviousKey]:
    before = client.previous
    return None if before is None else PreviousKey(before.public_key, before.until, before.preshared_key)
