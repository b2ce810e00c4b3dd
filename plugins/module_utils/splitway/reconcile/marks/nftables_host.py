# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own connections in nftables: which are classified, what is refused, and the guard behind routing."""

from __future__ import annotations

from collections.abc import Iterator

from ...state import FAMILIES, Host, Marks, classified_bit
from .host import ANY_PORT, DHCP, refused_marks, resolver
from .nftables_clients import BASE

_ASKING = "meta l4proto { tcp, udp } th dport 53"
_IP = {4: "ip", 6: "ip6"}


def chains(marks: Marks, restore: str, leave: str) -> dict[str, list[str]]:
    """Return the chains. `restore`: marks of connections → chains; `leave`: marks of packets → chains of the guard."""
    if marks.host is None:
        return {}
    mask, bit, exempt = marks.mask, classified_bit(marks.mask), _exempt(marks, marks.host)
    return {
        "host": [
            BASE.format("route", "output", -150),
            *exempt,
            "ct direction reply accept",
            *(f"udp sport {source} udp dport {destination} accept" for source, destination in DHCP.values()),
            f"{_ASKING} accept",  # led to our dnsmasq, or refused
            f"ct mark & {mask:#x} vmap {{ {restore} }}",
            f"ct state invalid tcp sport >= {ANY_PORT} drop",
            "ct state != new accept",
            f"tcp sport < {ANY_PORT} tcp flags & (fin|syn|rst|ack) != syn accept",
            "meta l4proto { tcp, icmp, ipv6-icmp } goto host_policy",
            "meta skuid >= 0 goto host_policy",  # what has no owner is a tunnel of the kernel's own
        ],
        "host_policy": [f"meta nfproto ipv{version} goto policy{version}_{marks.host.policy}" for version in FAMILIES],
        "host_filter": [BASE.format("filter", "output", 0), 'oifname "lo" accept', *_refused(marks, marks.host)],
        "host_refused": ["meta l4proto tcp reject with tcp reset", "reject with icmpx admin-prohibited"],
        "host_names": [BASE.format("nat", "output", -100), *exempt, *_names(marks.host)],
        "departure": [
            BASE.format("filter", "postrouting", -150),
            f'oifname != "lo" meta mark & {mask:#x} vmap {{ {leave} }}',
            f'oifname != "lo" meta mark & {bit:#x} == {bit:#x} drop',
        ],
    }


def masquerading(marks: Marks) -> list[str]:
    """Return the rules for addresses of the gateway's own: only a tunnel's packets need the tunnel's."""
    if marks.host is None:
        return []
    return [f'oifname != "{marks.tunnels}*" fib saddr type local return', "fib saddr type local masquerade"]


def _refused(marks: Marks, host: Host) -> Iterator[str]:
    """Yield what refuses, at once, what has no way."""
    for version in FAMILIES:
        refused = ", ".join(f"{mark:#x}" for mark in refused_marks(marks, version))
        if refused:
            yield f"meta nfproto ipv{version} meta mark & {marks.mask:#x} {{ {refused} }} goto host_refused"
        own = resolver(host, version)
        if own:
            # Away with wg0: its address is no longer ours, and the question would go out.
            yield f"{_IP[version]} daddr {own} {_ASKING} fib daddr type != local goto host_refused"
    yield from _exempt(marks, host)[1:]
    yield f"{_ASKING} ct direction original ct status & dnat == 0 goto host_refused"


def _names(host: Host) -> Iterator[str]:
    """Yield what leads the gateway's own questions to our dnsmasq."""
    for version in FAMILIES:
        own = resolver(host, version)
        if own:
            yield f"meta nfproto ipv{version} {_ASKING} dnat {_IP[version]} to {f'[{own}]' if version == 6 else own}:53"


def _exempt(marks: Marks, host: Host) -> list[str]:
    """Return the rules for what goes its own way: to the host itself, bound to a tunnel, marked, our resolvers'."""
    lines = ['oifname "lo" accept', f'oifname "{marks.tunnels}*" accept', "meta mark != 0x0 accept"]
    return [*lines, *(f"meta skuid {account} accept" for account in host.accounts)]
