# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways that only forward: network namespaces, veth pairs in place of tunnels, and a sender of small packets."""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchkit.sender import Flow, Sender
from namespaces import Namespace, Network

_ADDRESS = "02:00:00:00:00:02"  # of each gateway's wg0
UPLINK = "eth0"


def tunnel(number: int) -> str:
    """Return the interface of a gateway's tunnel; they are numbered from 1, as the engine does."""
    return f"wg-up-{number}"


class Gateway:
    """One gateway: packets come in by wg0 and leave by the tunnels or by eth0, whose far ends count and drop them."""

    def __init__(self, network: Network, name: str, tunnels: int) -> None:
        self.namespace = network.host(name)
        self._clients = _shared(network, "clients")
        self._world = _shared(network, "world")
        self._wire = f"c-{name}"
        self._ends = [f"{number}-{name}" for number in range(tunnels + 1)]
        _wire(self._clients, self._wire, self.namespace, "wg0")
        # No ARP: packets leave at once, and the far end, to which they are not addressed, counts and drops them.
        for number, end in enumerate(self._ends):
            _wire(self._world, end, self.namespace, tunnel(number) if number else UPLINK, "arp", "off")
        run = self.namespace.run
        run("ip", "link", "set", "wg0", "address", _ADDRESS)
        run("ip", "address", "add", "10.8.0.1/14", "dev", "wg0")
        run("ip", "address", "add", "10.90.0.10/24", "dev", UPLINK)
        for number in range(1, tunnels + 1):
            run("ip", "address", "add", f"172.20.{number}.2/32", "dev", tunnel(number))
        run("ip", "route", "add", "default", "dev", UPLINK)
        run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.src_valid_mark=1")
        run("sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.wg0.rp_filter=2")
        self._senders: list[Sender] = []

    def sender(self, flows: Sequence[Flow]) -> Sender:
        """Return what sends these flows' packets to this gateway."""
        with self._clients.entered():
            made = Sender(self._wire, _ADDRESS, flows)
        self._senders.append(made)
        return made

    def left(self) -> dict[str, int]:
        """Return how many packets have left by each interface."""
        links = json.loads(self.namespace.run("ip", "-s", "-j", "link"))
        outgoing = {tunnel(number) for number in range(1, len(self._ends))} | {UPLINK}
        return {link["ifname"]: link["stats64"]["tx"]["packets"] for link in links if link["ifname"] in outgoing}

    def forget_flows(self) -> None:
        """Empty the table of connections: each flow's next packet is its first."""
        self.namespace.run("conntrack", "-F")

    def close(self) -> None:
        for sender in self._senders:
            sender.close()


def _shared(network: Network, name: str) -> Namespace:
    if name not in network.namespaces:
        # IPv6 is off here: routers' solicitations would be counted as packets that left.
        network.host(name)
    return network.namespaces[name]


def _wire(far: Namespace, far_name: str, near: Namespace, near_name: str, *options: str) -> None:
    far.run("ip", "link", "add", far_name, "type", "veth", "peer", "name", near_name, "netns", near.path)
    near.run("sysctl", "-q", "-w", f"net.ipv6.conf.{near_name}.disable_ipv6=1")
    far.run("ip", "link", "set", far_name, *options, "up")
    near.run("ip", "link", "set", near_name, *options, "up")
