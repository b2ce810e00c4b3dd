# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every client, whatever its policy says: refused, or answered by the gateway itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, Optional

from ..reconcile.flows.sources import clients
from ..state import Marks
from .subject import Client

DNS, DNS_OVER_TLS, HTTPS = 53, 853, 443


def refusal(
    marks: Marks, who: Client, address: Optional[str], port: Optional[int], holds: Callable[[str], bool]
) -> Optional[str]:
    """Return why a flow is refused before any way is asked for; None if it is not. `holds`: sets of the address."""
    guard = marks.guard
    if who.is_host:
        return None
    if port == DNS_OVER_TLS and guard.refuse_dot:
        return "the DNS guard refuses DNS over TLS and QUIC (splitway_dns_guard.refuse_dot)"
    if address is None:
        return None
    version = 6 if ":" in address else 4
    resolvers = guard.doh(version)
    if port == HTTPS and resolvers and holds(resolvers):
        return "the DNS guard refuses this resolver over HTTPS (splitway_dns_guard.refuse_doh)"
    if guard.isolate and clients(marks)(version, address) is not None:
        return "clients do not reach each other (splitway_hardening.client_isolation)"
    return None


def notes(marks: Marks, who: Client, port: Optional[int]) -> Iterator[str]:
    """Yield what is done to a flow beside sending it somewhere."""
    if port == DNS and marks.guard.redirect_dns and not who.is_host:
        yield "the gateway answers what is sent to port 53, wherever it was sent (splitway_dns_guard.redirect)"
