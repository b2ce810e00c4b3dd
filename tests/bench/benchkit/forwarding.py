# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways that only forward: network namespaces, devices in place of tunnels, and a sender of small packets."""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
from collections.abc import Sequence

from namespaces import Network

from benchkit.sender import Flow, TunnelSender, WireSender

_ADDRESS = "02:00:00:00:00:02"  # of each gateway's wg0
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
_CLIENTS = "10.11.255.254"
_REPLY = re.compile(r"src=\S+ dst=\S+ sport=\d+ dport=\d+.* src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")
UPLINK = "eth0"


def tunnel(number: int) -> str:
    """Return the interface of a gateway's tunnel; they are numbered from 1, as the engine does."""
    return f"wg-up-{number}"


class Gateway:
    """One gateway: packets come in by wg0 and leave by the tunnels or by eth0.

    Those are tun devices that nobody reads: they take a packet as a WireGuard device does (one neighbour for all, no
    queue), count it, and drop it.
    """

    def __init__(self, network: Network, name: str, tunnels: int) -> None:
        self.namespace = network.host(name)
        self._clients = network.namespaces.get("clients") or network.host("clients")
        self._wire = f"c-{name}"
        self._senders: list[WireSender] = []
        run = self.namespace.run
        self._clients.run("ip", "link", "add", self._wire, "type", "veth", "peer", "wg0", "netns", self.namespace.path)
        self._clients.run("ip", "link", "set", self._wire, "up")
        run("sysctl", "-q", "-w", "net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.wg0.disable_ipv6=1")
        run("ip", "link", "set", "wg0", "address", _ADDRESS, "up")
        # One neighbour for all clients, as on a WireGuard device.
        run("ip", "address", "add", "10.8.0.1/32", "dev", "wg0")
        run("ip", "route", "add", "10.8.0.0/14", "via", _CLIENTS, "dev", "wg0", "onlink")
        run("ip", "neighbour", "add", _CLIENTS, "lladdr", _ADDRESS, "dev", "wg0")
        with self.namespace.entered():
            self._ends = {end: _tun(end) for end in (UPLINK, *(tunnel(number + 1) for number in range(tunnels)))}
        for number, end in enumerate(self._ends):
            run("ip", "address", "add", f"172.20.{number}.2/32", "dev", end)
            run("ip", "link", "set", end, "txqueuelen", "0", "up")
            run("tc", "qdisc", "replace", "dev", end, "root", "noqueue")
        run("ip", "route", "add", "default", "dev", UPLINK)
        run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        # As Debian has them.
        run("sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.wg0.rp_filter=2")

    def sender(self, flows: Sequence[Flow]) -> WireSender:
        """Return what sends these flows' packets to this gateway."""
        with self._clients.entered():
            made = WireSender(self._wire, _ADDRESS, flows)
        self._senders.append(made)
        return made

    def replies(self, flows: Sequence[Flow]) -> TunnelSender:
        """Return what answers these flows, which were sent before, from where each left."""
        ends = {f"172.20.{number}.2": descriptor for number, descriptor in enumerate(self._ends.values())}
        tracked = [
            Flow(source, int(port), destination, int(other))
            for source, destination, port, other in _REPLY.findall(self.namespace.run("conntrack", "-L"))
        ]
        answers = tracked or [flow.reversed() for flow in flows]
        return TunnelSender([(ends.get(flow.destination, self._ends[UPLINK]), flow) for flow in answers])

    def answered(self) -> int:
        """Return how many packets have left by wg0."""
        (link,) = json.loads(self.namespace.run("ip", "-s", "-j", "link", "show", "wg0"))
        return int(link["stats64"]["tx"]["packets"])

    def left(self) -> dict[str, int]:
        """Return how many packets have left by each interface that is not the clients'."""
        links = json.loads(self.namespace.run("ip", "-s", "-j", "link"))
        return {link["ifname"]: link["stats64"]["tx"]["dropped"] for link in links if link["ifname"] in self._ends}

    def forget_flows(self) -> None:
        """Empty the table of connections: each flow's next packet is its first."""
        self.namespace.run("conntrack", "-F")

    def close(self) -> None:
        for sender in self._senders:
            sender.close()
        for descriptor in self._ends.values():
            os.close(descriptor)


def _tun(name: str) -> int:
    """Return the descriptor of a new tun device of this namespace, which is there as long as it is open."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor
