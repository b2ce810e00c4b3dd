# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is a client, as matches: what comes in from one, and what goes out to one.

Clients are behind the server's interface, which WireGuard keeps for them alone, or on a LAN: there a packet is a
client's by its interface and its source together, and other hosts' packets are none of ours.
"""

from __future__ import annotations

from ...state import LanNetwork, Marks


def lan_of(marks: Marks, version: int) -> tuple[LanNetwork, ...]:
    """Return the LAN clients' networks of a family, the longest prefixes first."""
    return tuple(entry for entry in marks.lan if version_of(entry.network) == version)


def unknown_of(marks: Marks, version: int) -> tuple[LanNetwork, ...]:
    """Return the networks of a family with the policy of whoever is behind the server's interface and no client."""
    return tuple(entry for entry in marks.unknown if version_of(entry.network) == version)


def version_of(address: str) -> int:
    """Return the IP version of an address or a network."""
    return 6 if ":" in address else 4


def iptables_from(marks: Marks, version: int) -> list[str]:
    """Return the matches of what comes in from clients."""
    return [f"-i {marks.interface}", *(iptables_from_lan(entry) for entry in lan_of(marks, version))]


def iptables_from_lan(entry: LanNetwork) -> str:
    """Return the match of what comes in from LAN clients."""
    return f"-s {entry.network} -i {entry.interface}"


def iptables_to(marks: Marks, version: int) -> list[str]:
    """Return the matches of what goes out to clients."""
    return [f"-o {marks.interface}", *(f"-d {entry.network} -o {entry.interface}" for entry in lan_of(marks, version))]


def nftables_from(marks: Marks) -> list[str]:
    """Return the matches of what comes in from clients."""
    return [f'iifname "{marks.interface}"', *map(nftables_from_lan, marks.lan)]


def nftables_from_lan(entry: LanNetwork) -> str:
    """Return the match of what comes in from LAN clients."""
    return f'iifname "{entry.interface}" {ip(entry.network)} saddr {entry.network}'


def nftables_to(marks: Marks) -> list[str]:
    """Return the matches of what goes out to clients."""
    lan = (f'oifname "{entry.interface}" {ip(entry.network)} daddr {entry.network}' for entry in marks.lan)
    return [f'oifname "{marks.interface}"', *lan]


def ip(address: str) -> str:
    """Return nft's word for the family of an address or a network."""
    return "ip6" if ":" in address else "ip"
