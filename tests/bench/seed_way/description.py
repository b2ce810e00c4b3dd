# SPDX-License-Identifier: GPL-3.0-or-later
"""One of our topologies in the seed's terms: a client has one upstream, and rules of its own that are proxied."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Union

from splitway.topology.model import BLOCK, DIRECT, List, Policy, Rule, Topology
from splitway.topology.model import Upstream as OurUpstream

FIRST = 101  # the drawn number of client 1
KERNELS_OWN = (253, 254, 255)  # tables default, main, local

Proxied = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Of one policy: the interface of its upstream, its networks, its domains."""


@dataclass(frozen=True)
class Upstream:
    """One upstream, an interface of its own."""

    interface: str
    settings: OurUpstream


@dataclass(frozen=True)
class Client:
    """One client that uses an upstream. Its number is its mark and its table."""

    index: int  # from 1; in the names of its set and of its comment
    number: int
    address: str
    interface: str  # of its upstream
    networks: tuple[str, ...]
    domains: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """Everything that the seed's way sets up."""

    upstreams: tuple[Upstream, ...]
    clients: tuple[Client, ...]


def describe(topology: Topology) -> Description:
    """Return a topology in the seed's terms; clients without a proxied rule are left out, as it leaves them direct."""
    upstreams = tuple(Upstream(f"wg-up-{index}", entry) for index, entry in enumerate(topology.upstreams, 1))
    interfaces = {upstream.settings.name: upstream.interface for upstream in upstreams}
    for group in topology.groups:
        interfaces[group.name] = interfaces[group.members[0].upstream]
    return Description(upstreams, tuple(_clients(topology, interfaces)))


def _clients(topology: Topology, interfaces: dict[str, str]) -> Iterator[Client]:
    policies = dict(topology.policies)
    lists = {entry.name: entry for entry in topology.lists}
    proxied: dict[Union[str, Policy], Proxied] = {}
    numbers = (number for number in itertools.count(FIRST) if number not in KERNELS_OWN)
    for index, (client, number) in enumerate(zip(topology.clients, numbers), 1):
        if client.policy not in proxied:
            policy = client.policy if isinstance(client.policy, Policy) else policies[client.policy]
            proxied[client.policy] = _proxied(policy, lists, interfaces)
        interface, networks, domains = proxied[client.policy]
        address = next((str(address) for address in client.addresses if address.version == 4), "")
        if interface and address:
            yield Client(index, number, address, interface, networks, domains)


def _proxied(policy: Policy, lists: dict[str, List], interfaces: dict[str, str]) -> Proxied:
    """Return the interface of the first upstream that rules lead to ("" if none does), all networks and all domains."""
    proxied = [rule for rule in policy.rules if rule.egress not in (DIRECT, BLOCK)]
    if not proxied:
        return "", (), ()
    contents = [_content(rule, lists) for rule in proxied]
    networks = dict.fromkeys(str(one) for content in contents for one in content.networks if one.version == 4)
    domains = dict.fromkeys(name for content in contents for name in content.domains)
    return interfaces[proxied[0].egress], tuple(networks), tuple(domains)


def _content(rule: Rule, lists: dict[str, List]) -> List:
    if rule.lists:
        return lists[rule.lists[0]]
    return List("", rule.domains, rule.networks)
