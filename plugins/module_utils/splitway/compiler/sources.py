# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of packets beside the server's clients: networks of LAN clients, and the gateway itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Optional

from ..state import Host, LanNetwork, ProxyAccount
from ..topology.model import BLOCK, DIRECT, Client, Policy, Topology
from .lists import Flattened
from .proxies import owner, resolvers, wanted
from .transports import compile_users

_HOST = "gateway/own"  # no client has a name with a slash; nor have proxies (proxies.py)
_UNKNOWN = "gateway/unknown"


def with_sources(topology: Topology) -> Topology:
    """Return the topology as `flatten` takes it: whoever has a policy is a client, without addresses."""
    owners = [Client(_lan_name(entry.name), (), entry.policy) for entry in topology.lan_clients]
    if topology.host_policy is not None:
        owners.append(Client(_HOST, (), topology.host_policy))
    unknown = topology.server.unknown_clients
    if unknown != BLOCK:
        owners.append(Client(_UNKNOWN, (), Policy() if unknown == DIRECT else unknown))
    owners += [Client(owner(proxy), (), proxy.policy) for proxy in wanted(topology) if proxy.policy is not None]
    clients = (client for client in topology.clients if not client.refused)
    return replace(topology, clients=(*clients, *owners))


def _lan_name(name: str) -> str:
    return f"lan/{name}"


def compile_lan(topology: Topology, flattened: Flattened, policies: Mapping[str, int]) -> tuple[LanNetwork, ...]:
    """Return the networks of LAN clients, the longest prefixes first."""
    found = [
        (network, entry.interface, _policy_number(flattened, policies, _lan_name(entry.name)))
        for entry in topology.lan_clients
        for network in entry.networks
    ]
    found.sort(key=lambda item: (item[0].version, -item[0].prefixlen, int(item[0].network_address)))
    return tuple(LanNetwork(interface, str(network), number) for network, interface, number in found)


def compile_unknown(topology: Topology, flattened: Flattened, policies: Mapping[str, int]) -> tuple[LanNetwork, ...]:
    """Return the clients' networks with the policy of whoever is there and is no client; none where he is refused.

    Before them are the addresses of clients that are refused: they may be peers still, and are no unknown ones.

    On an interface of our own nobody can be: WireGuard takes from a peer only what is allowed to it.
    """
    if topology.server.unknown_clients == BLOCK:
        return ()
    number = _policy_number(flattened, policies, _UNKNOWN)
    interface = topology.server.interface
    refused = (address for client in topology.clients if client.refused for address in client.addresses)
    return (
        *(LanNetwork(interface, f"{address}/{address.max_prefixlen}", None) for address in refused),
        *(LanNetwork(interface, str(own.network), number) for own in topology.server.addresses),
    )


def compile_host(
    topology: Topology, flattened: Flattened, policies: Mapping[str, int], accounts: tuple[ProxyAccount, ...]
) -> Optional[Host]:
    """Return the policies of the gateway's own connections, and where it finds our dnsmasq."""
    if topology.host_policy is None and not accounts:
        return None
    return Host(
        policy=None if topology.host_policy is None else _policy_number(flattened, policies, _HOST),
        users=("dnsmasq", *(("unbound",) if topology.dns.tls else ()), *compile_users(topology)),
        resolvers=resolvers(topology),
        proxies=accounts,
    )


def proxy_policies(topology: Topology, flattened: Flattened, policies: Mapping[str, int]) -> dict[str, int]:
    """Return proxy name → the number of the policy of its connections."""
    return {
        proxy.name: _policy_number(flattened, policies, owner(proxy))
        for proxy in wanted(topology)
        if proxy.policy is not None
    }


def _policy_number(flattened: Flattened, policies: Mapping[str, int], owner: str) -> int:
    return policies[flattened.policies[flattened.policy_of[owner]].keys[0]]
