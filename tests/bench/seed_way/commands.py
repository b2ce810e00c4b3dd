# SPDX-License-Identifier: GPL-3.0-or-later
"""Description → the programs that set it up, as argument lists in their order. Pure."""

from __future__ import annotations

from seed_way.description import Client, Description

Command = tuple[str, ...]


def upstreams(description: Description) -> list[Command]:
    """Return step 5a; wg-quick reads /etc/wireguard/INTERFACE.conf."""
    return [("wg-quick", "up", upstream.interface) for upstream in description.upstreams]


def commands(description: Description) -> list[Command]:
    """Return steps 5b to 5d of all clients, one after the other. The upstreams' interfaces are there and up before."""
    return [command for one in description.clients for command in client(one)]


def client(one: Client) -> list[Command]:
    """Return what sets up one client: its set, what is in it, its mark, its rule and its table."""
    name, number = set_name(one), str(one.number)
    matched = ("-s", one.address, "-m", "set", "--match-set", name, "dst")
    comment = ("-m", "comment", "--comment", f"wg-easy-client-{one.index}")
    return [
        ("ipset", "create", name, "hash:net"),
        *(("ipset", "add", name, network) for network in one.networks),
        ("iptables", "-t", "mangle", "-A", "PREROUTING", *matched, "-j", "MARK", "--set-mark", number, *comment),
        ("ip", "rule", "add", "priority", str(1000 + one.number), "fwmark", number, "table", number),
        ("ip", "route", "add", "default", "dev", one.interface, "table", number),
    ]


def set_name(one: Client) -> str:
    """Return the name of a client's set."""
    return f"client_{one.index}_proxy"
