# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes in from LAN clients: the chains that give it the mark of its policy, in both backends.

Unlike what is behind the server's interface, hosts on a LAN answer to others than clients, too: to a forwarded port, or
to the gateway. Such answers belong to connections that others began; they go back where those came from.
"""

from __future__ import annotations

from ...state import DIRECT, Marks
from .iptables_io import PREFIX
from .model import direct_mark
from .sources import ip, iptables_from_lan, lan_of, nftables_from_lan, version_of

IPTABLES_CHAIN, _ANSWERS = f"{PREFIX}-LAN", f"{PREFIX}-ANSWERS"
_NAMES = f"{PREFIX}-LAN-NAMES"
NFTABLES_CHAIN = "from_lan"
_LINK_LOCAL = "fe80::/10"


def iptables_jumps(marks: Marks, version: int) -> list[str]:
    """Return the rules that lead there, for the chain of all that comes in."""
    return [f"{iptables_from_lan(entry)} -g {IPTABLES_CHAIN}" for entry in lan_of(marks, version)]


def iptables_chains(marks: Marks, version: int, recognize: list[str]) -> dict[str, list[str]]:
    """Return the chains; `recognize`: the rules for flows that were classified before, and for what is invalid."""
    networks = lan_of(marks, version)
    if not networks:
        return {}
    return {
        IPTABLES_CHAIN: [
            f"-m conntrack --ctdir REPLY -g {_ANSWERS}",
            *recognize,
            *(f"{iptables_from_lan(entry)} -g {PREFIX}-POLICY-{entry.policy}" for entry in networks),
        ],
        _ANSWERS: [f"-j MARK --set-xmark {direct_mark(marks.mask):#x}/{marks.mask:#x}"],
    }


def iptables_approach(marks: Marks, version: int) -> list[str]:
    """Return the rules for what others begin with LAN clients.

    Source validation asks for the way back as if from the client, as for a reply: the guard's rule would refuse it. A
    forwarded port's packet is addressed to the gateway here, whoever it is for. Only the connection's mark says that
    something is a client's; what is none is not changed by the mark of "direct".
    """
    networks = lan_of(marks, version)
    if not networks:
        return []
    matches = (*(f"-d {entry.network}" for entry in networks), "-m addrtype --dst-type LOCAL")
    return [f"{match} -j MARK --set-xmark {direct_mark(marks.mask):#x}/{marks.mask:#x}" for match in matches]


def nftables_approach(marks: Marks) -> list[str]:
    """Return the same rules for nftables."""
    if not marks.lan:
        return []
    matches = (*(f"{ip(entry.network)} daddr {entry.network}" for entry in marks.lan), "fib daddr type local")
    mark = f"meta mark set meta mark & {0xFFFFFFFF & ~marks.mask:#x} | {direct_mark(marks.mask):#x}"
    return [f"{match} {mark}" for match in matches]


def iptables_entrance(marks: Marks, version: int) -> dict[str, list[str]]:
    """Return the chains of the input hook, that itself without positions: on a LAN our dnsmasq answers only clients."""
    interfaces = sorted({entry.interface for entry in marks.lan})
    if not interfaces:
        return {}
    clients = [iptables_from_lan(entry) for entry in lan_of(marks, version)]
    clients += [f"-s {_LINK_LOCAL} -i {interface}" for interface in interfaces if version == 6]
    return {
        "INPUT": [f"-p {protocol} -m {protocol} --dport 53 -j {_NAMES}" for protocol in ("udp", "tcp")],
        _NAMES: [
            *(f"{match} -j RETURN" for match in clients),
            *(f"-i {interface} -j DROP" for interface in interfaces),
        ],
    }


def nftables_entrance(marks: Marks) -> list[str]:
    """Return the rules of the input hook: on a LAN our dnsmasq answers nobody but clients."""
    return ["meta l4proto { tcp, udp } th dport 53 jump lan_names"] if marks.lan else []


def nftables_jumps(marks: Marks) -> list[str]:
    """Return the rules that lead there, for the chain of all that comes in."""
    return [f"{nftables_from_lan(entry)} goto {NFTABLES_CHAIN}" for entry in marks.lan]


def nftables_chains(marks: Marks, recognize: list[str]) -> dict[str, list[str]]:
    """Return the chains; `recognize`: the rules for flows that were classified before, and for what is invalid."""
    if not marks.lan:
        return {}
    chosen = (
        f"{nftables_from_lan(entry)} goto policy{version_of(entry.network)}_{entry.policy}" for entry in marks.lan
    )
    interfaces = sorted({entry.interface for entry in marks.lan})
    clients = [*map(nftables_from_lan, marks.lan)]
    clients += [f'iifname "{interface}" ip6 saddr {_LINK_LOCAL}' for interface in interfaces]
    return {
        NFTABLES_CHAIN: [f"ct direction reply goto mark_{DIRECT}", *recognize, *chosen],
        "lan_names": [
            *(f"{match} return" for match in clients),
            *(f'iifname "{interface}" drop' for interface in interfaces),
        ],
    }
