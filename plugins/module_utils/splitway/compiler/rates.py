# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients with a rate, their own or their policy's, and the stable numbers of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from ..state import Qos, RatedClient
from ..topology.model import Client, Policy, Rate, Topology
from .numbers import allocate

MAXIMUM_RATED = 65534  # a class's number has 16 bits, of which the kernel keeps the first and the last for itself


def compile_rates(topology: Topology, numbers: Mapping[str, int]) -> tuple[Optional[Qos], dict[str, int]]:
    """Return the section of rates (None: nobody has one), and the numbers of its clients by key.

    Raises CompileError when there are more clients with a rate than classes.
    """
    policies = dict(topology.policies)
    rated = [(client, rate) for client, rate in ((c, _rate(c, policies)) for c in topology.clients) if rate]
    keys = [f"rate:{client.name}" for client, _ in rated]
    held = {key: number for key, number in numbers.items() if key.startswith("rate:")}
    limit = f"splitway_clients: {len(rated)} have a rate, {MAXIMUM_RATED} can"
    numbered = allocate([(key,) for key in keys], held, range(1, MAXIMUM_RATED + 1), limit)
    clients = tuple(
        RatedClient(client.name, entry.number, tuple(map(str, client.addresses)), rate.down, rate.up)
        for (client, rate), entry in zip(rated, numbered)
    )
    found = {key: entry.number for key, entry in zip(keys, numbered)}
    section = Qos(topology.server.interface, clients, topology.server.adopt) if clients else None
    return section, found


def _rate(client: Client, policies: Mapping[str, Policy]) -> Optional[Rate]:
    """Return the rate that holds for a client: its own, as a whole, before its policy's."""
    if client.rate is not None or isinstance(client.policy, Policy):
        return client.rate
    return policies[client.policy].rate
