# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The far end of the gateway's uplink: every packet to the pretended Internet, and which host sent it.

The capture runs on `web`, where all that leaves the gateway's uplink for the pretended Internet comes in; so it goes
on while the gateway restarts. The sender is told by its Ethernet address, whatever the packet says of itself.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from labkit.hosts import container, host, wait_until

from chaoskit.targets import Permitted

FILE = "/tmp/chaos.pcap"  # on web
SENDERS = {"gw": "direct", "us": "us", "eu": "eu"}
SNAPPED = 96  # bytes of each packet
_ETHERNET, _GLOBAL_HEADER, _RECORD = 14, 24, struct.Struct("<IIII")
_IPV6 = 0x86DD
_ICMP, _TCP, _ICMPV6 = 1, 6, 58
_RST = 0x04
_UNREACHABLE = {_ICMP: 3, _ICMPV6: 1}
_OWN = tuple(map(ip_network, ("10.64.0.2/31", "10.65.0.2/32", "fd64::2/128", "fd65::2/128")))


@dataclass(frozen=True)
class Packet:
    """One packet on the wire: its time by the wall's clock, who sent it, what it says."""

    at: float
    sender: str  # direct | us | eu | the Ethernet address of somebody else
    source: str
    destination: str
    protocol: int
    kind: int  # the flags of TCP, the type of ICMP, else 0
    port: int  # the destination's, of TCP and UDP

    def __str__(self) -> str:
        return f"{self.sender}: {self.source} > {self.destination} protocol {self.protocol} port {self.port}"


class Wire:
    """A capture that goes on; what was not read yet is read piece by piece."""

    def __init__(self) -> None:
        host("web").run("rm -f %s", FILE)
        there = "dst net 198.51.100.0/24 or dst net 2001:db8:ff::/48"
        tcpdump = ["tcpdump", "-i", "eth0", "-Q", "in", "-U", "-s", str(SNAPPED), "-w", FILE, there]
        subprocess.run(["docker", "exec", "--detach", container("web"), *tcpdump], check=True)
        wait_until(lambda: host("web").run("test -s %s", FILE).rc == 0, "tcpdump to listen")
        self._offset = _GLOBAL_HEADER
        self._senders: dict[str, str] = {}
        self.know_senders()

    def know_senders(self) -> None:
        """Learns the hosts' Ethernet addresses, which a restart may change."""
        for name, way in SENDERS.items():
            self._senders[host(name).check_output("cat /sys/class/net/eth0/address").strip()] = way

    def read(self) -> list[Packet]:
        """Returns the packets since the last time."""
        command = ["docker", "exec", container("web"), "tail", "--bytes", f"+{self._offset + 1}", FILE]
        data = subprocess.run(command, check=True, capture_output=True).stdout
        packets, used = [], 0
        for at, frame, end in _records(data):
            packets.append(self._packet(at, frame))
            used = end
        self._offset += used
        return packets

    def stop(self) -> None:
        """Ends the capture."""
        host("web").check_output("pkill -INT -x tcpdump; rm -f %s", FILE)

    def _packet(self, at: float, frame: bytes) -> Packet:
        sender = ":".join(f"{byte:02x}" for byte in frame[6:12])
        packet = frame[_ETHERNET:]
        if struct.unpack_from("!H", frame, 12)[0] == _IPV6:
            source, destination, protocol, payload = packet[8:24], packet[24:40], packet[6], packet[40:]
        else:
            source, destination, protocol = packet[12:16], packet[16:20], packet[9]
            payload = packet[(packet[0] & 0xF) * 4 :]
        icmp = protocol in _UNREACHABLE
        kind = payload[13] if protocol == _TCP else payload[0] if icmp else 0
        port = 0 if icmp else struct.unpack_from("!H", payload, 2)[0]
        ends = (str(ip_address(source)), str(ip_address(destination)))
        return Packet(at, self._senders.get(sender, sender), *ends, protocol, kind, port)


def _records(data: bytes) -> Iterator[tuple[float, bytes, int]]:
    """Yields time, frame, and where it ends, of each complete record of a capture."""
    start = 0
    while start + _RECORD.size <= len(data):
        seconds, microseconds, size, _original = _RECORD.unpack_from(data, start)
        body = start + _RECORD.size
        start = body + size
        if start > len(data):
            return
        yield seconds + microseconds / 1e6, data[body:start], start


def leaks(packets: list[Packet], permitted: Permitted) -> list[Packet]:
    """Returns the packets that came by a way by which their destination may not be reached."""
    return [
        packet
        for packet in packets
        if packet.sender not in permitted.get(packet.destination, frozenset()) and not _gateways_own(packet)
    ]


def _gateways_own(packet: Packet) -> bool:
    """Tells the kernel's own words, no client's packet.

    To a late answer out of a tunnel, whose flow conntrack has forgotten, it says that there is no such flow.
    """
    reset = packet.protocol == _TCP and packet.kind & _RST
    unreachable = packet.protocol in _UNREACHABLE and packet.kind == _UNREACHABLE[packet.protocol]
    return bool(reset or unreachable) and any(ip_address(packet.source) in network for network in _OWN)
