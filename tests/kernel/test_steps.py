# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the steps of a run each packet goes the way of the old topology or of the new one, and no third.

Random topologies of networks follow one another; after each step of the transaction a packet of each client is sent to
each destination. Which way is right is said by the rules alone.
"""

from __future__ import annotations

import ipaddress
import random

import pytest
from namespaces import NamespaceSystem
from traffic import BACKENDS, CLIENTS, Lab, lab  # noqa: F401

from splitway.compiler import compile_state
from splitway.state import State
from splitway.store import Store
from splitway.topology.model import Client, Endpoint, List, Policy, Rule, Server, Topology, Upstream
from splitway.transaction import begin, bring, commit

DESTINATIONS = (
    "192.0.2.9",
    "198.51.100.9",
    "198.51.100.200",
    "203.0.113.9",
    "10.77.0.9",
    "2001:db8:1::9",
    "2001:db8:2::9",
)
NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "198.51.100.128/25", "203.0.113.0/24", "10.77.0.0/16", "0.0.0.0/0")
NETWORKS += ("2001:db8:1::/48", "2001:db8::/32")
EGRESSES = ("direct", "block", "us", "eu")
STEPS = ("sets", "marks")


def topology(choose: random.Random, backend: str) -> Topology:
    def networks() -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(map(ipaddress.ip_network, choose.sample(NETWORKS, choose.randint(0, 4))))

    def rule() -> Rule:
        if choose.random() < 0.7:
            return Rule(choose.choice(EGRESSES), lists=(choose.choice("abc"),))
        return Rule(choose.choice(EGRESSES), networks=(ipaddress.ip_network(choose.choice(NETWORKS)),))

    def policy() -> Policy:
        return Policy(tuple(rule() for _ in range(choose.randint(0, 4))), choose.choice(("direct", "us")))

    everything = tuple(map(ipaddress.ip_network, ("0.0.0.0/0", "::/0")))
    return Topology(
        server=Server("wg0", 51820, (ipaddress.ip_interface("10.8.0.1/16"), ipaddress.ip_interface("fdcc::1/64"))),
        upstreams=tuple(Upstream(name, Endpoint("198.51.100.1", 51820), "key", everything) for name in ("us", "eu")),
        lists=tuple(List(name, (), networks()) for name in "abc"),
        clients=tuple(
            Client(f"client{index}", tuple(ipaddress.ip_address(CLIENTS[family][index]) for family in (4, 6)), policy())
            for index in (0, 1)
        ),
        backend=backend,
    )


def verdict(given: Topology, client: int, destination: str) -> str:
    """Return the egress that the rules name."""
    address = ipaddress.ip_address(destination)
    policy = given.clients[client].policy
    assert isinstance(policy, Policy)
    lists = {entry.name: entry.networks for entry in given.lists}
    for rule in policy.rules:
        networks = lists[rule.lists[0]] if rule.lists else rule.networks
        for network in networks:
            inside = network.version == address.version and address in network
            if inside and (not address.is_private or destination != "10.77.0.9" or network.prefixlen >= 8):
                return rule.egress
    return "direct" if destination == "10.77.0.9" else policy.default


def ways(world: Lab, system: NamespaceSystem, state: State) -> dict[tuple[int, str], str]:
    """Return the egress that each client's packet to each destination gets now."""
    names = {egress.number: egress.name for egress in state.marks.egresses} | {101: "us", 102: "eu"}
    keys = [(client, destination) for client in (0, 1) for destination in DESTINATIONS]
    pairs = [(CLIENTS[6 if ":" in destination else 4][client], destination) for client, destination in keys]
    marks = world.marks(system, pairs)
    return {key: "block" if mark is None else names[mark & 0x1FFF] for key, mark in zip(keys, marks)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_packet_goes_the_old_way_or_the_new_between_steps(backend: str, lab: Lab, system: NamespaceSystem) -> None:  # noqa: F811
    choose = random.Random(20261121)
    store = Store(system)
    old = topology(choose, backend)
    state = compile_state(old, {})
    run(store, state)
    for turn in range(12):
        new = topology(choose, backend)
        target = compile_state(new, state.numbers)
        allowed = {
            (client, destination): {verdict(old, client, destination), verdict(new, client, destination)}
            for client in (0, 1)
            for destination in DESTINATIONS
        }
        begin(store, "run")
        for section in STEPS:
            bring(store, section, getattr(target, section), backend=backend, transaction="run", purge=True)
            judge(ways(lab, system, target), allowed, f"turn {turn}, after {section}")
        commit(store, "run", target.numbers)
        judge(
            ways(lab, system, target), {key: {verdict(new, *key)} for key in allowed}, f"turn {turn}, after the commit"
        )
        old, state = new, target


def judge(found: dict[tuple[int, str], str], allowed: dict[tuple[int, str], set[str]], when: str) -> None:
    wrong = {key: (way, allowed[key]) for key, way in found.items() if way not in allowed[key]}
    assert not wrong, when


def run(store: Store, state: State) -> None:
    begin(store, "run")
    for section in STEPS:
        bring(store, section, getattr(state, section), backend=state.backend, transaction="run", purge=True)
    commit(store, "run", state.numbers)
