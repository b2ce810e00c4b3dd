# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every client, whatever its policy, in nftables: the DNS guard, isolation, the gateway's own ports.

Only what belongs to no connection yet is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...state import FAMILIES, Marks, classified_bit
from .networks import destination_matches
from .sources import nftables_to

BASE = "type {} hook {} priority {}; policy accept;"
_NEW = "ct state invalid,new,untracked"
_RESET = "reject with tcp reset"
_UNREACHABLE = "reject with icmpx port-unreachable"
_NEIGHBOURS = "{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }"


def chains(marks: Marks) -> dict[str, list[str]]:
    """Return the chains that others of ours lead to, and that of the redirection."""
    bit, found = classified_bit(marks.mask), {}
    if marks.guard.redirect_dns:
        found["dns"] = [
            BASE.format("nat", "prerouting", -110),  # before Docker's and others', which is at -100
            *(f"ct mark & {bit:#x} == {bit:#x} {protocol} dport 53 redirect" for protocol in ("udp", "tcp")),
        ]
    if _refuses(marks):
        found["refuse"] = list(_refused(marks))
    for version in FAMILIES:
        name = marks.guard.doh(version)
        if name:
            matches = destination_matches(version, marks.networks[name])
            found[f"doh{version}"] = [f"{match} goto refused" for match in matches]
            found["refused"] = [f"meta l4proto tcp {_RESET}", _UNREACHABLE]
    found["gateway"] = list(_gateway(marks))
    return found


def first(marks: Marks) -> list[str]:
    """Return what a client's packets meet first in the forward hook."""
    return [f"{_NEW} jump refuse"] if _refuses(marks) else []


def entrance(marks: Marks) -> list[str]:
    """Return what packets to the gateway itself meet."""
    return [f'iifname "{marks.interface}" {_NEW} goto gateway']


def _refuses(marks: Marks) -> bool:
    guard = marks.guard
    return guard.redirect_dns or guard.isolate or guard.refuse_dot or bool(guard.doh_v4 or guard.doh_v6)


def _refused(marks: Marks) -> Iterator[str]:
    """Yield what refuses a client's new connections through the gateway."""
    guard = marks.guard
    if guard.redirect_dns:
        # It was not redirected: a stranger's rule came first.
        yield f"tcp dport 53 {_RESET}"
        yield f"udp dport 53 {_UNREACHABLE}"
    if guard.isolate:
        for between in nftables_to(marks):
            yield f"{between} meta l4proto tcp {_RESET}"
            yield f"{between} reject with icmpx admin-prohibited"
    if guard.refuse_dot:
        yield f"tcp dport 853 {_RESET}"
        yield f"udp dport 853 {_UNREACHABLE}"
    for version in FAMILIES:
        if guard.doh(version):
            yield f"meta nfproto ipv{version} meta l4proto {{ tcp, udp }} th dport 443 jump doh{version}"


def _gateway(marks: Marks) -> Iterator[str]:
    """Yield what a client may begin with the gateway itself, and the refusal of the rest."""
    bit = classified_bit(marks.mask)
    yield f"ip6 hoplimit 255 icmpv6 type {_NEIGHBOURS} accept"  # the end of this base chain only
    # Whose address is no client's has no policy, and so no mark: it may be anybody's.
    yield f"meta mark & {bit:#x} == 0 drop"
    if marks.guard.ports is None:
        return
    yield "icmp type echo-request accept"
    yield "icmpv6 type echo-request accept"
    for address in marks.guard.resolvers:
        family = "ip6" if ":" in address else "ip"
        yield f"{family} daddr {address} udp dport 53 accept"
        yield f"{family} daddr {address} tcp dport 53 accept"
    for opened in marks.guard.ports:
        numbers = f"{opened.low}" if opened.low == opened.high else f"{opened.low}-{opened.high}"
        yield f"{opened.protocol} dport {numbers} accept"
    for port in dict.fromkeys(service.port for service in marks.guard.services):
        yield f"tcp dport {port} accept"
    yield f"meta l4proto tcp {_RESET}"
    yield _UNREACHABLE
