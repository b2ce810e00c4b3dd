# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a flow is: which policy its source has.

Conntrack does not know by which interface a flow began; networks of LAN clients overlap nobody else's. A classified
flow that is no client's is the gateway's own, if its connections have a policy. Nor does it know whose of the gateway's
own it is, a proxy's or the host's: it may be that of any.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import Callable, Optional

from ...state import Marks

PolicyOf = Callable[[int, str], Optional[int]]
"""Family and source address → the number of the policy; None: nobody's."""

PoliciesOf = Callable[[int, str], tuple[int, ...]]
"""Family and source address → the numbers of the policies of which it has one; none: nobody's."""


def policies_of_sources(marks: Marks, others: Optional[Marks] = None) -> PoliciesOf:
    """Return who has which policy. A client of another generation (`others`) is not taken for the gateway itself."""
    client, elsewhere = clients(marks), None if others is None else clients(others)
    own = _own(marks)

    def policies(family: int, source: str) -> tuple[int, ...]:
        number = client(family, source)
        if number is None:
            return own if elsewhere is None or elsewhere(family, source) is None else ()
        return (number,)

    return policies


def _own(marks: Marks) -> tuple[int, ...]:
    """Return the policies of the gateway's own connections."""
    if marks.host is None:
        return ()
    found = (marks.host.policy, *(proxy.policy for proxy in marks.host.proxies))
    return tuple(dict.fromkeys(number for number in found if number is not None))


def clients(marks: Marks) -> PolicyOf:
    """Return which client, on a LAN or not, known or not, has which policy."""
    lan = [(ipaddress.ip_network(entry.network), entry.policy) for entry in (*marks.lan, *marks.unknown)]

    @functools.lru_cache(maxsize=65536)
    def on_lan(source: str) -> Optional[int]:
        address = ipaddress.ip_address(source)
        return next((policy for network, policy in lan if address in network), None)

    def client(family: int, source: str) -> Optional[int]:
        number = marks.family(family).clients.get(source)
        return on_lan(source) if number is None and lan else number

    return client
