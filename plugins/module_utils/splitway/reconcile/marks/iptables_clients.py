# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every client, whatever its policy, in iptables: the DNS guard, isolation, the gateway's own ports.

Refusing needs the filter table. Only what belongs to no connection yet is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...state import Marks, classified_bit
from .iptables_io import PREFIX
from .sources import iptables_to

DNS = f"{PREFIX}-DNS"
GATEWAY = f"{PREFIX}-GATEWAY"
REFUSE = f"{PREFIX}-REFUSE"

_NEW = "-m conntrack ! --ctstate RELATED,ESTABLISHED"
_ECHO = {4: "-p icmp -m icmp --icmp-type 8", 6: "-p ipv6-icmp -m icmp6 --icmpv6-type 128"}
_NEIGHBOURS = range(133, 137)  # ICMPv6: how routers and neighbours find each other
_PROHIBITED = {4: "icmp-admin-prohibited", 6: "icmp6-adm-prohibited"}
_UNREACHABLE = {4: "icmp-port-unreachable", 6: "icmp6-port-unreachable"}
_WIDTH = {4: 32, 6: 128}
_RESET = "-j REJECT --reject-with tcp-reset"


def nat(marks: Marks) -> dict[str, list[str]]:
    """Return the chains that let the gateway answer whatever clients ask at port 53."""
    if not marks.guard.redirect_dns:
        return {}
    return {
        "PREROUTING": [f"1 {_from_clients(marks)} -j {DNS}"],
        DNS: [f"-p {protocol} -m {protocol} --dport 53 -j REDIRECT" for protocol in ("udp", "tcp")],
    }


def _from_clients(marks: Marks) -> str:
    """Return the match of a connection that was classified: of one that begins, only a client's is.

    What others begin with LAN clients has the packet's mark, too.
    """
    bit = classified_bit(marks.mask)
    return f"-m connmark --mark {bit:#x}/{bit:#x}"


def filtering(marks: Marks, version: int) -> dict[str, list[str]]:
    """Return the chains of the filter table."""
    chains = {}
    refused = _refused(marks, version)
    if refused:
        chains["FORWARD"] = [f"1 {_NEW} {_from_clients(marks)} -j {REFUSE}"]
        chains[REFUSE] = refused
    chains["INPUT"] = [f"1 -i {marks.interface} {_NEW} -j {GATEWAY}"]
    chains[GATEWAY] = list(_gateway(marks, version))
    return chains


def _refused(marks: Marks, version: int) -> list[str]:
    """Return what refuses a client's new connections through the gateway."""
    guard, unreachable = marks.guard, f"-j REJECT --reject-with {_UNREACHABLE[version]}"
    lines = []
    if guard.redirect_dns:
        # It was not redirected: a stranger flushed the table nat, or his rule came first.
        lines += [f"-p tcp -m tcp --dport 53 {_RESET}", f"-p udp -m udp --dport 53 {unreachable}"]
    if guard.isolate:
        for between in iptables_to(marks, version):
            lines += [f"{between} -p tcp {_RESET}", f"{between} -j REJECT --reject-with {_PROHIBITED[version]}"]
    if guard.refuse_dot:
        lines += [f"-p tcp -m tcp --dport 853 {_RESET}", f"-p udp -m udp --dport 853 {unreachable}"]
    if guard.doh(version):
        match = f"--dport 443 -m set --match-set {guard.doh(version)} dst"
        lines += [f"-p tcp -m tcp {match} {_RESET}", f"-p udp -m udp {match} {unreachable}"]
    return lines


def _gateway(marks: Marks, version: int) -> Iterator[str]:
    """Yield what a client may begin with the gateway itself, and the refusal of the rest."""
    bit = classified_bit(marks.mask)
    if version == 6:
        for kind in _NEIGHBOURS:
            yield f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -m hl --hl-eq 255 -j RETURN"
    # Whose address is no client's has no policy, and so no mark: it may be anybody's.
    yield f"-m mark ! --mark {bit:#x}/{bit:#x} -j DROP"
    if marks.guard.ports is None:
        return
    yield f"{_ECHO[version]} -j RETURN"
    for address in marks.guard.resolvers:
        if (":" in address) == (version == 6):
            yield from (
                f"-d {address}/{_WIDTH[version]} -p {protocol} -m {protocol} --dport 53 -j RETURN"
                for protocol in ("udp", "tcp")
            )
    for opened in marks.guard.ports:
        numbers = f"{opened.low}" if opened.low == opened.high else f"{opened.low}:{opened.high}"
        yield f"-p {opened.protocol} -m {opened.protocol} --dport {numbers} -j RETURN"
    for port in dict.fromkeys(service.port for service in marks.guard.services):
        yield f"-p tcp -m tcp --dport {port} -j RETURN"
    yield f"-p tcp {_RESET}"
    yield f"-j REJECT --reject-with {_UNREACHABLE[version]}"
