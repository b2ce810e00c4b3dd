# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own connections in iptables: which are classified, what is refused, and the guard behind routing."""

from __future__ import annotations

from collections.abc import Iterator

from ...state import Host, Marks, PortRange, classified_bit
from .host import ANY_PORT, DHCP, keeps_from_clients, proxies, refused_marks, resolver
from .iptables_io import PREFIX
from .sources import iptables_to
from .tree import leaf

HOST, DEPARTURE, REFUSED = f"{PREFIX}-HOST", f"{PREFIX}-DEPARTURE", f"{PREFIX}-HOST-REFUSED"
PROXIES = f"{PREFIX}-PROXIES"

_ASKING = ("-p udp -m udp --dport 53", "-p tcp -m tcp --dport 53")
_NO_BEGINNING = "! --tcp-flags FIN,SYN,RST,ACK SYN"
_PROHIBITED = {4: "icmp-admin-prohibited", 6: "icmp6-adm-prohibited"}
_PING = {4: "icmp", 6: "ipv6-icmp"}
_WIDTH = {4: 32, 6: 128}
_ANYBODY = "0-4294967294"


def mangle(marks: Marks, version: int, guard: str) -> dict[str, list[str]]:
    """Return the chains that classify, before the packet is routed again, and that of what leaves, by the guard."""
    if marks.host is None:
        return {}
    mask, bit = marks.mask, classified_bit(marks.mask)
    return {
        "OUTPUT": [f"1 -j {HOST}"],
        HOST: [
            *_exempt(marks, marks.host),
            "-m conntrack --ctdir REPLY -j RETURN",
            *(f"{asking} -j RETURN" for asking in _ASKING),  # led to our dnsmasq, or refused
            f"-j CONNMARK --restore-mark --nfmask {mask:#x} --ctmask {mask:#x}",
            f"-m mark --mark {bit:#x}/{bit:#x} -j RETURN",
            f"-j MARK --set-xmark 0x0/{mask:#x}",
            "-m conntrack ! --ctstate INVALID,NEW -j RETURN",
            *_of_proxies(marks.host),
            *_of_all_others(marks.host, version),
        ],
        "POSTROUTING": [f"1 -m mark --mark {bit:#x}/{bit:#x} -j {DEPARTURE}"],
        DEPARTURE: ["-o lo -j RETURN", f"-g {guard}"],
    }


def _of_proxies(host: Host) -> Iterator[str]:
    """Yield what classifies the first packets of proxies' connections."""
    for account, proxy in proxies(host):
        for listens in proxy.listens:  # after a loss of conntrack's table: an answer to one of its clients
            yield f"-p tcp -m tcp --sport {_range(listens)} {_NO_BEGINNING} {_by(account)} -j RETURN"
        yield f"-m conntrack --ctstate INVALID {_by(account)} -j DROP"
        if proxy.policy is not None:
            yield f"{_by(account)} -g {PREFIX}-POLICY-{proxy.policy}"


def _of_all_others(host: Host, version: int) -> Iterator[str]:
    """Yield what classifies the first packets of all others' connections."""
    if host.policy is None:
        return
    source, destination = DHCP[version]
    policy = f"-g {PREFIX}-POLICY-{host.policy}"
    yield f"-p tcp -m conntrack --ctstate INVALID -m tcp --sport {ANY_PORT}:65535 -j DROP"
    yield "-m conntrack ! --ctstate NEW -j RETURN"
    yield f"-p udp -m udp --sport {source} --dport {destination} -j RETURN"
    yield f"-p tcp -m tcp --sport 0:{ANY_PORT - 1} {_NO_BEGINNING} -j RETURN"
    yield f"-p tcp {policy}"
    yield f"-p {_PING[version]} {policy}"
    yield f"-m owner ! --uid-owner {_ANYBODY} -j RETURN"  # a tunnel of the kernel's own, or what it asks through one
    yield policy


def filtering(marks: Marks, version: int) -> dict[str, list[str]]:
    """Return the chains that refuse, at once, what has no way."""
    if marks.host is None:
        return {}
    own = resolver(marks.host, version)
    known = list(_known_proxies(marks, marks.host, version))
    lines = [f"-m conntrack --ctstate NEW -j {PROXIES}"] if known else []
    lines += ["-o lo -j RETURN", *(leaf(mark, marks.mask, f"-g {REFUSED}") for mark in refused_marks(marks, version))]
    if own:
        # Away with wg0: its address is no longer ours, and the question would go out.
        lines += [
            f"-d {own}/{_WIDTH[version]} {asking} -m addrtype ! --dst-type LOCAL -g {REFUSED}" for asking in _ASKING
        ]
    lines += _exempt(marks, marks.host)[1:]
    lines += [
        f"{asking} -m conntrack ! --ctstate DNAT --ctdir ORIGINAL {whose}-g {REFUSED}"
        for asking in _ASKING
        for whose in _whose(marks.host)
    ]
    chains = {"OUTPUT": [f"1 -j {HOST}"], HOST: lines}
    if known:
        chains[PROXIES] = known
    chains[REFUSED] = ["-p tcp -j REJECT --reject-with tcp-reset", f"-j REJECT --reject-with {_PROHIBITED[version]}"]
    return chains


def _known_proxies(marks: Marks, host: Host, version: int) -> Iterator[str]:
    """Yield what proxies may begin on this host, and the refusal of the rest and of what leaves it without a policy."""
    own = resolver(host, version)
    if own and proxies(host):
        yield from (f"-d {own}/{_WIDTH[version]} -o lo {asking} -j RETURN" for asking in _ASKING)
    for account, proxy in proxies(host):
        for asks in proxy.asks if version == 4 else ():
            yield f"-d 127.0.0.1/32 -o lo -p tcp -m tcp --dport {asks.port} {_by(account)} -j RETURN"
        yield f"-o lo {_by(account)} -g {REFUSED}"
        if proxy.policy is None:
            yield f"{_by(account)} -g {REFUSED}"
        elif keeps_from_clients(marks):
            yield from (f"{to} {_by(account)} -g {REFUSED}" for to in iptables_to(marks, version))


def nat(marks: Marks, version: int) -> dict[str, list[str]]:
    """Return the chains that lead the gateway's own questions to our dnsmasq."""
    own = "" if marks.host is None else resolver(marks.host, version)
    if marks.host is None or not own:
        return {}
    target = f"[{own}]" if version == 6 else own
    return {
        "OUTPUT": [f"1 -j {HOST}"],
        HOST: [
            *_exempt(marks, marks.host),
            *(
                f"{asking} {whose}-j DNAT --to-destination {target}:53"
                for asking in _ASKING
                for whose in _whose(marks.host)
            ),
        ],
    }


def masquerading(marks: Marks, version: int) -> list[str]:
    """Return the rules for addresses of the gateway's own: only a tunnel's packets need the tunnel's.

    And those that a proxy sends with the address that our dnsmasq has: it is no address of the uplink's.
    """
    if marks.host is None:
        return []
    own, address = "-m addrtype --src-type LOCAL", resolver(marks.host, version)
    others = f"! -s {address}/{_WIDTH[version]} " if address and marks.host.proxies else ""
    return [f"{others}! -o {marks.tunnels}+ {own} -j RETURN", f"-o {marks.tunnels}+ {own} -j MASQUERADE"]


def _exempt(marks: Marks, host: Host) -> list[str]:
    """Return the rules for what goes its own way: to the host itself, bound to a tunnel, marked, our resolvers'."""
    lines = ["-o lo -j RETURN", f"-o {marks.tunnels}+ -j RETURN", "-m mark ! --mark 0x0 -j RETURN"]
    return [*lines, *(f"{_by(account)} -j RETURN" for account in host.accounts)]


def _whose(host: Host) -> tuple[str, ...]:
    """Return the matches of those whose questions our dnsmasq answers."""
    return ("",) if host.policy is not None else tuple(f"{_by(account)} " for account, _ in proxies(host))


def _by(account: int) -> str:
    return f"-m owner --uid-owner {account}"


def _range(ports: PortRange) -> str:
    return f"{ports.low}" if ports.low == ports.high else f"{ports.low}:{ports.high}"
