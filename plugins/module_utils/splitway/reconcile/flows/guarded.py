# SPDX-License-Identifier: GPL-3.0-or-later
"""Established flows after a change of the clients' guard: those that could not begin any more end.

The guard looks at connections that begin. A resolver over TLS is asked through one that lives for hours, and a
question from the same port goes where the one before it went. What is deleted begins anew by its next packet, and is
then refused or redirected. Flows to the gateway itself stay: an operator closes a port, and keeps the session.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from ...services import NUMBERS
from ...state import FAMILIES, AddressSet, Marks
from ..base import REMOVE, Change
from .conntrack import Flow
from .sources import clients

_DNS, _DOT, _HTTPS = 53, 853, 443
_CARRIERS = tuple(NUMBERS[protocol][4] for protocol in ("tcp", "udp"))


def plan(old: Optional[Marks], new: Marks, sets: Iterable[AddressSet], flows: Iterable[Flow]) -> tuple[Change, ...]:
    """Return a removal for each classified flow that the new guard refuses or redirects, if it is not the old one."""
    guard = new.guard
    if old is not None and (old.guard, old.lan) == (guard, new.lan):
        return ()
    members = {**{item.name: item.members for item in sets}, **new.networks}
    doh = {address for version in FAMILIES for address in members.get(guard.doh(version), ())}
    client = clients(new)
    redirects = guard.redirect_dns or (old is not None and old.guard.redirect_dns)

    def ends(flow: Flow) -> bool:
        if guard.isolate and client(flow.family, flow.destination) is not None:
            return True
        if flow.protocol not in _CARRIERS:
            return False
        port = flow.destination_port
        return (
            (redirects and port == _DNS)
            or (guard.refuse_dot and port == _DOT)
            or (port == _HTTPS and flow.destination in doh)
        )

    return tuple(Change(REMOVE, str(flow), f"mark {flow.mark:#x}", "", flow) for flow in flows if ends(flow))
