# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own connections in iptables: which are classified, what is refused, and the guard behind routing."""

from __future__ import annotations

from ...state import Host, Marks, classified_bit
from .host import ANY_PORT, DHCP, refused_marks, resolver
from .iptables_io import PREFIX
from .tree import leaf

HOST, DEPARTURE, REFUSED = f"{PREFIX}-HOST", f"{PREFIX}-DEPARTURE", f"{PREFIX}-HOST-REFUSED"

_ASKING = ("-p udp -m udp --dport 53", "-p tcp -m tcp --dport 53")
_PROHIBITED = {4: "icmp-admin-prohibited", 6: "icmp6-adm-prohibited"}
_PING = {4: "icmp", 6: "ipv6-icmp"}
_WIDTH = {4: 32, 6: 128}
_ANYBODY = "0-4294967294"


def mangle(marks: Marks, version: int, guard: str) -> dict[str, list[str]]:
    """Return the chains that classify, before the packet is routed again, and that of what leaves, by the guard."""
    if marks.host is None:
        return {}
    mask, bit = marks.mask, classified_bit(marks.mask)
    source, destination = DHCP[version]
    policy = f"-g {PREFIX}-POLICY-{marks.host.policy}"
    return {
        "OUTPUT": [f"1 -j {HOST}"],
        HOST: [
            *_exempt(marks, marks.host),
            "-m conntrack --ctdir REPLY -j RETURN",
            f"-p udp -m udp --sport {source} --dport {destination} -j RETURN",
            *(f"{asking} -j RETURN" for asking in _ASKING),  # led to our dnsmasq, or refused
            f"-j CONNMARK --restore-mark --nfmask {mask:#x} --ctmask {mask:#x}",
            f"-m mark --mark {bit:#x}/{bit:#x} -j RETURN",
            f"-j MARK --set-xmark 0x0/{mask:#x}",
            f"-p tcp -m conntrack --ctstate INVALID -m tcp --sport {ANY_PORT}:65535 -j DROP",
            "-m conntrack ! --ctstate NEW -j RETURN",
            f"-p tcp -m tcp --sport 0:{ANY_PORT - 1} ! --tcp-flags FIN,SYN,RST,ACK SYN -j RETURN",
            f"-p tcp {policy}",
            f"-p {_PING[version]} {policy}",
            f"-m owner ! --uid-owner {_ANYBODY} -j RETURN",  # a tunnel of the kernel's own, or what it asks through one
            policy,
        ],
        "POSTROUTING": [f"1 -m mark --mark {bit:#x}/{bit:#x} -j {DEPARTURE}"],
        DEPARTURE: ["-o lo -j RETURN", f"-g {guard}"],
    }


def filtering(marks: Marks, version: int) -> dict[str, list[str]]:
    """Return the chains that refuse, at once, what has no way."""
    if marks.host is None:
        return {}
    own = resolver(marks.host, version)
    lines = ["-o lo -j RETURN", *(leaf(mark, marks.mask, f"-g {REFUSED}") for mark in refused_marks(marks, version))]
    if own:
        # Away with wg0: its address is no longer ours, and the question would go out.
        lines += [
            f"-d {own}/{_WIDTH[version]} {asking} -m addrtype ! --dst-type LOCAL -g {REFUSED}" for asking in _ASKING
        ]
    lines += _exempt(marks, marks.host)[1:]
    lines += [f"{asking} -m conntrack ! --ctstate DNAT --ctdir ORIGINAL -g {REFUSED}" for asking in _ASKING]
    return {
        "OUTPUT": [f"1 -j {HOST}"],
        HOST: lines,
        REFUSED: ["-p tcp -j REJECT --reject-with tcp-reset", f"-j REJECT --reject-with {_PROHIBITED[version]}"],
    }


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
            *(f"{asking} -j DNAT --to-destination {target}:53" for asking in _ASKING),
        ],
    }


def masquerading(marks: Marks) -> list[str]:
    """Return the rules for addresses of the gateway's own: only a tunnel's packets need the tunnel's."""
    if marks.host is None:
        return []
    own = "-m addrtype --src-type LOCAL"
    return [f"! -o {marks.tunnels}+ {own} -j RETURN", f"{own} -j MASQUERADE"]


def _exempt(marks: Marks, host: Host) -> list[str]:
    """Return the rules for what goes its own way: to the host itself, bound to a tunnel, marked, our resolvers'."""
    lines = ["-o lo -j RETURN", f"-o {marks.tunnels}+ -j RETURN", "-m mark ! --mark 0x0 -j RETURN"]
    return [*lines, *(f"-m owner --uid-owner {account} -j RETURN" for account in host.accounts)]
