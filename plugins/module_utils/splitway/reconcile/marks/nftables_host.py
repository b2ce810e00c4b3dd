# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own connections in nftables: which are classified, what is refused, and the guard behind routing."""

from __future__ import annotations

from collections.abc import Iterator

from ...state import FAMILIES, Host, Marks, PortRange, ProxyAccount, classified_bit
from .host import ANY_PORT, DHCP, keeps_from_clients, proxies, refused_marks, resolver
from .nftables_clients import BASE
from .sources import nftables_to

_ASKING = "meta l4proto { tcp, udp } th dport 53"
_NO_BEGINNING = "tcp flags & (fin|syn|rst|ack) != syn"
_IP = {4: "ip", 6: "ip6"}


def chains(marks: Marks, restore: str, leave: str) -> dict[str, list[str]]:
    """Return the chains. `restore`: marks of connections → chains; `leave`: marks of packets → chains of the guard."""
    if marks.host is None:
        return {}
    mask, bit, exempt = marks.mask, classified_bit(marks.mask), _exempt(marks, marks.host)
    known = list(_known_proxies(marks, marks.host))
    found = {
        "host": [
            BASE.format("route", "output", -150),
            *exempt,
            "ct direction reply accept",
            f"{_ASKING} accept",  # led to our dnsmasq, or refused
            f"ct mark & {mask:#x} vmap {{ {restore} }}",
            "ct state established,related,untracked accept",
            *_of_proxies(marks.host),
            *_of_all_others(marks.host),
        ],
        "host_filter": [
            BASE.format("filter", "output", 0),
            *(["ct state new jump host_proxies"] if known else []),
            'oifname "lo" accept',
            *_refused(marks, marks.host),
        ],
        "host_refused": ["meta l4proto tcp reject with tcp reset", "reject with icmpx admin-prohibited"],
        "host_names": [BASE.format("nat", "output", -100), *exempt, *_names(marks.host)],
        "departure": [
            BASE.format("filter", "postrouting", -150),
            f'oifname != "lo" meta mark & {mask:#x} vmap {{ {leave} }}',
            f'oifname != "lo" meta mark & {bit:#x} == {bit:#x} drop',
        ],
    }
    if marks.host.policy is not None:
        found["host_policy"] = _policy(marks.host.policy)
    if known:
        found["host_proxies"] = known
    found.update((_chain(account), _first_packets(proxy)) for account, proxy in proxies(marks.host))
    return found


def _of_proxies(host: Host) -> Iterator[str]:
    """Yield what leads proxies' packets to the chains that classify them."""
    entries = ", ".join(f"{account} : goto {_chain(account)}" for account, _ in proxies(host))
    if entries:
        yield f"meta skuid vmap {{ {entries} }}"


def _chain(account: int) -> str:
    return f"host_proxy_{account}"


def _first_packets(proxy: ProxyAccount) -> list[str]:
    """Return what classifies the first packets of a proxy's connections."""
    # After a loss of conntrack's table: an answer to one of its clients.
    answers = [f"tcp sport {_range(listens)} {_NO_BEGINNING} accept" for listens in proxy.listens]
    return [*answers, "ct state invalid drop", *([] if proxy.policy is None else _policy(proxy.policy))]


def _policy(number: int) -> list[str]:
    return [f"meta nfproto ipv{version} goto policy{version}_{number}" for version in FAMILIES]


def _of_all_others(host: Host) -> Iterator[str]:
    """Yield what classifies the first packets of all others' connections."""
    if host.policy is None:
        return
    yield f"ct state invalid tcp sport >= {ANY_PORT} drop"
    yield "ct state != new accept"
    yield from (f"udp sport {source} udp dport {destination} accept" for source, destination in DHCP.values())
    yield f"tcp sport < {ANY_PORT} {_NO_BEGINNING} accept"
    yield "meta l4proto { tcp, icmp, ipv6-icmp } goto host_policy"
    yield "meta skuid >= 0 goto host_policy"  # what has no owner is a tunnel of the kernel's own


def masquerading(marks: Marks) -> list[str]:
    """Return the rules for addresses of the gateway's own: only a tunnel's packets need the tunnel's.

    And those that a proxy sends with the address that our dnsmasq has: it is no address of the uplink's.
    """
    if marks.host is None:
        return []
    tunnels, local = f'"{marks.tunnels}*"', "fib saddr type local"
    lines = []
    for version in FAMILIES:
        own = resolver(marks.host, version) if marks.host.proxies else ""
        others = f"{_IP[version]} saddr != {own}" if own else f"meta nfproto ipv{version}"
        lines.append(f"oifname != {tunnels} {others} {local} return")
    return [*lines, f"oifname {tunnels} {local} masquerade"]


def _known_proxies(marks: Marks, host: Host) -> Iterator[str]:
    """Yield what proxies may begin on this host, and the refusal of the rest and of what leaves it without a policy."""
    here = proxies(host)
    if not here:
        return
    everybody = ", ".join(str(account) for account, _ in here)
    for version in FAMILIES:
        own = resolver(host, version)
        if own:
            yield f'oifname "lo" {_IP[version]} daddr {own} {_ASKING} return'
    for account, proxy in here:
        for asks in proxy.asks:
            yield f'oifname "lo" ip daddr 127.0.0.1 tcp dport {asks.port} meta skuid {account} return'
    yield f'oifname "lo" meta skuid {{ {everybody} }} goto host_refused'
    if keeps_from_clients(marks):
        yield from (f"{to} meta skuid {{ {everybody} }} goto host_refused" for to in nftables_to(marks))
    stay = ", ".join(str(account) for account, proxy in here if proxy.policy is None)
    if stay:
        yield f"meta skuid {{ {stay} }} goto host_refused"


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
    for whose in _whose(host):
        yield f"{_ASKING} {whose}ct direction original ct status & dnat == 0 goto host_refused"


def _names(host: Host) -> Iterator[str]:
    """Yield what leads the gateway's own questions to our dnsmasq."""
    for version in FAMILIES:
        own = resolver(host, version)
        if own:
            to = f"dnat {_IP[version]} to {f'[{own}]' if version == 6 else own}:53"
            yield from (f"meta nfproto ipv{version} {_ASKING} {whose}{to}" for whose in _whose(host))


def _whose(host: Host) -> tuple[str, ...]:
    """Return the match of those whose questions our dnsmasq answers; none when they are nobody's."""
    if host.policy is not None:
        return ("",)
    users = ", ".join(str(account) for account, _ in proxies(host))
    return (f"meta skuid {{ {users} }} ",) if users else ()


def _exempt(marks: Marks, host: Host) -> list[str]:
    """Return the rules for what goes its own way: to the host itself, bound to a tunnel, marked, our resolvers'."""
    lines = ['oifname "lo" accept', f'oifname "{marks.tunnels}*" accept', "meta mark != 0x0 accept"]
    return [*lines, *(f"meta skuid {account} accept" for account in host.accounts)]


def _range(ports: PortRange) -> str:
    return f"{ports.low}" if ports.low == ports.high else f"{ports.low}-{ports.high}"
