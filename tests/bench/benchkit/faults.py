# SPDX-License-Identifier: GPL-3.0-or-later
"""What is broken on a gateway in a namespace, and by what its owner would see that it is as before.

A fault is healed when the output of its look, a command that changes nothing, is again what it was before.
"""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

from benchkit.gateway import Gateway
from splitway.reconcile.dns.text import UNIT
from splitway.reconcile.wireguard.live import unit_of
from splitway.state import Device, Table

Injury = Union[str, Callable[[], None]]


@dataclass(frozen=True)
class Fault:
    """One thing that is broken."""

    kind: str
    injure: Injury  # a shell command, or what does it
    look: str  # a shell command

    def begin(self) -> None:
        """Break it."""
        if isinstance(self.injure, str):
            shell(self.injure)
        else:
            self.injure()


def shell(command: str) -> str:
    """Return the output of a shell command, errors and all: what is broken may have no other."""
    argv = ["bash", "-c", f"set -o pipefail; {command}"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


_RULES = "ip rule | sort; ip -6 rule | sort"  # a rule that was added again comes after those of its priority
_FLUSH_RULES = (
    "ip rule flush; ip rule add lookup main pref 32766; ip rule add lookup default pref 32767; "
    "ip -6 rule flush; ip -6 rule add lookup main pref 32766"
)


def faults(gateway: Gateway, rnd: random.Random) -> list[Fault]:
    """Return one fault of each kind that this gateway can have; what it strikes is drawn by chance."""
    device: Device = rnd.choice(gateway.state.upstreams)
    table: Table = rnd.choice([table for table in gateway.state.routes.tables if table.interface])
    return [*_tunnels(gateway, device, rnd), *_routing(table, rnd), *_names(gateway), *_sets_and_chains(gateway, rnd)]


def _tunnels(gateway: Gateway, device: Device, rnd: random.Random) -> list[Fault]:
    name, units = device.interface, gateway.system.plain_units
    server = gateway.state.server
    if server is None:
        raise ValueError("a gateway without clients")
    clients = server.interface
    addresses = "ip -o address show dev {} | grep -v fe80: | cut -d ' ' -f 2- | sort"
    tunnel = f"{addresses.format(name)}; wg show {name} allowed-ips; ip link show up {name} | wc -l"
    victim = f"wg show {clients} peers | sort | sed -n {rnd.randrange(len(server.peers)) + 1}p"
    found = [
        Fault("an upstream's interface deleted", f"ip link delete {name}", tunnel),
        Fault("an upstream's link down", f"ip link set {name} down", tunnel),
        Fault("an upstream's peer removed", f"wg set {name} peer $(wg show {name} peers) remove", tunnel),
        Fault(
            "a client's peer removed",
            f"wg set {clients} peer $({victim}) remove",
            f"wg show {clients} allowed-ips | sort | sha256sum",
        ),
        Fault(
            "the clients' addresses removed",
            f"ip address flush dev {clients}",
            addresses.format(clients),
        ),
    ]
    if units.pids(unit_of(name)):
        found.append(
            Fault("an upstream's wireguard-go killed", lambda: units.kill(unit_of(name), signal.SIGKILL), tunnel)
        )
    return found


def _routing(table: Table, rnd: random.Random) -> list[Fault]:
    number, interface, family = table.number, table.interface, rnd.choice(("-4", "-6"))
    routes = f"ip route show table {number} | sort; ip -6 route show table {number} | sort"
    flush = f"ip route flush table {number}; ip -6 route flush table {number}"
    return [
        Fault("a table's default removed", f"ip {family} route del default dev {interface} table {number}", routes),
        Fault("a table flushed", flush, routes),
        Fault("an ip rule deleted", f"ip {family} rule del oif {interface} lookup {number}", _RULES),
        Fault("all ip rules flushed", _FLUSH_RULES, _RULES),
        Fault("forwarding switched off", "sysctl -q -w net.ipv4.ip_forward=0", "sysctl -n net.ipv4.ip_forward"),
    ]


def _names(gateway: Gateway) -> list[Fault]:
    server, units = gateway.state.server, gateway.system.plain_units
    address = server.addresses[0].split("/")[0] if server else ""
    asked = f"dig +time=1 +tries=1 +short version.bind chaos txt @{address}"
    return [Fault("dnsmasq killed", lambda: units.kill(UNIT, signal.SIGKILL), asked)]


def _sets_and_chains(gateway: Gateway, rnd: random.Random) -> list[Fault]:
    if gateway.state.backend == "nftables":
        policies = gateway.state.marks.v4.policies if gateway.state.marks else ()
        chain = f"policy4_{rnd.choice(policies).number}"
        rules = f"nft -s list chain inet splitway {chain}"
        everything = f"{rules}; nft -s list chain inet splitway classify"
        client = rnd.choice(list(gateway.state.marks.v4.clients)) if gateway.state.marks else ""
        element = f"element inet splitway clients4 '{{ {client} }}'"
        return [
            Fault("a chain flushed", f"nft flush chain inet splitway {chain}", rules),
            Fault("our chains flushed", "nft flush table inet splitway", everything),
            Fault("our table deleted", "nft delete table inet splitway", everything),
            Fault("a client's policy deleted", f"nft delete {element}", f"nft get {element}"),
        ]
    static = [item for item in gateway.state.sets if item.timeout is None and len(item.members) > 1]
    item = rnd.choice(static)
    content = f"ipset save {item.name} | sed 's/ hashsize.*//' | sort"
    policies = gateway.state.marks.v4.policies if gateway.state.marks else ()
    chain = f"SPLITWAY-POLICY-{rnd.choice(policies).number}"
    rules = f"iptables -t mangle -S {chain}"
    every = f"{rules}; iptables -t mangle -S SPLITWAY; iptables -t mangle -S PREROUTING"
    flush = (
        "for filter in iptables ip6tables; do $filter-save | "
        "sed -n '/^[*]/p; s/^:\\(SPLITWAY[^ ]*\\).*/-F \\1/p; /^COMMIT/p' | $filter-restore --noflush; done"
    )
    return [
        Fault("a network deleted from a set", f"ipset del {item.name} {rnd.choice(item.members)}", content),
        Fault("a set flushed", f"ipset flush {item.name}", content),
        Fault("the clients' policies emptied", "ipset flush sw4c", "ipset save sw4c | sed 's/ hashsize.*//' | sort"),
        Fault("a chain flushed", f"iptables -t mangle -F {chain}", rules),
        Fault("our chains flushed", flush, every),
        Fault("our chains flushed, our sets destroyed", f"{flush}; ipset destroy", f"{every}; {content}"),
    ]
