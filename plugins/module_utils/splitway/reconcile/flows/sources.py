# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a flow is: which policy its source has.

Conntrack does not know by which interface a flow began; networks of LAN clients overlap nobody else's. A classified
flow that is no client's is the gateway's own, if its connections have a policy.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import Callable, Optional

from ...state import Marks

PolicyOf = Callable[[int, str], Optional[int]]
"""Family and source address → the number of the policy; None: nobody's."""


def policy_of_sources(marks: Marks, others: Optional[Marks] = None) -> PolicyOf:
    """Return who has which policy. A client of another generation (`others`) is not taken for the gateway itself."""
    client, elsewhere = clients(marks), None if others is None else clients(others)
    host = None if marks.host is None else marks.host.policy

    def policy(family: int, source: str) -> Optional[int]:
        number = client(family, source)
        if number is None and (elsewhere is None or elsewhere(family, source) is None):
            return host
        return number

    return policy


def clients(marks: Marks) -> PolicyOf:
    """Return which client, on a LAN or not, has which policy."""
    lan = [(ipaddress.ip_network(entry.network), entry.policy) for entry in marks.lan]

    @functools.lru_cache(maxsize=65536)
    def on_lan(source: str) -> Optional[int]:
        address = ipaddress.ip_address(source)
        return next((policy for network, policy in lan if address in network), None)

    def client(family: int, source: str) -> Optional[int]:
        number = marks.family(family).clients.get(source)
        return on_lan(source) if number is None and lan else number

    return client
