# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway with everything on at once, and who is around it: the world of test_all_at_once.py.

A client behind real WireGuard, an office's LAN, the gateway's own programs; their proxied networks and names belong
into the tunnel of `us`, the rest is direct. A capture behind the uplink judges.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from namespaces import Namespace, NamespaceSystem, Network, wait_for
from test_mtu import CLIENT, WEB, World

from splitway.applying import drift

PROXIED = ("198.51.100.0/24", "2001:db8:99::/48")
DIRECT = {4: "203.0.113.9", 6: "2001:db8:113::9"}
RESOLVERS = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}  # that clients would rather ask
HERE = "192.0.2.53"  # the resolver of all other names
# Clients, the tunnel, the office: outside nobody sees their addresses.
INSIDE = ("10.8.0.0/16", "fdcc::/64", "10.64.0.0/24", "fd64::/64", "10.99.0.0/24", "fd99::/64")
_INSIDE, _PROXIED = (tuple(map(ipaddress.ip_network, networks)) for networks in (INSIDE, PROXIED))
_RECEIVE_BUFFER_FORCE = 33  # SO_RCVBUFFORCE, which Python does not name
_SECRET = b"\x05video\x07example"


class Seen(NamedTuple):
    """A packet behind the uplink."""

    source: str
    destination: str
    protocol: int
    port: int
    data: bytes

    def leaks(self) -> bool:
        """Return whether it should not have been there."""
        if self.protocol == socket.IPPROTO_UDP and self.port == 51820:
            return False
        ends = (ipaddress.ip_address(self.source), ipaddress.ip_address(self.destination))
        return (
            _SECRET in self.data
            or self.port == 853
            or any(ends[0] in network for network in _INSIDE)
            or any(ends[1] in network for network in (*_PROXIED, *_INSIDE))
        )

    def __str__(self) -> str:
        return f"{self.source} > {self.destination} protocol {self.protocol} port {self.port}: {self.data[:90].hex()}"


class Everything(World):
    """The world of test_mtu.py and an office; the path is as wide as its wires."""

    def __init__(self, system: NamespaceSystem, network: Network) -> None:
        super().__init__(system, network)
        self.office = network.host("office")
        network.connect(self.office, "eth1", ("10.99.0.1/24", "fd99::1/64"), ("10.99.0.2/24", "fd99::2/64"))
        folder = system.configuration.parent
        for local in ("203.0.113.0/24", "2001:db8:113::/48", "192.0.2.53/32"):
            self.near.run("ip", "-6" if ":" in local else "-4", "route", "add", "local", local, "dev", "lo")
        answering(self.near, folder / "near.conf", "203.0.113.9", "2001:db8:113::9", HERE)
        answering(self.exit, folder / "exit.conf", "198.51.100.1", "2001:db8:99::1", "1.1.1.1")

    def everything(self, backend: str, **more: Any) -> dict[str, Any]:
        """Return the whole topology."""
        return {
            **self.variables(backend, 4, {"resolvers": ["1.1.1.1"]}),
            "splitway_lists": {"video": {"domains": ["video.example"]}},
            "splitway_policies": {
                "split": {
                    "rules": [{"list": "video", "egress": "us"}, {"network": list(PROXIED), "egress": "us"}],
                    "default": "direct",
                }
            },
            "splitway_clients": [
                {
                    "name": "alice",
                    "addresses": [*CLIENT.values()],
                    "public_key": self.public("client"),
                    "policy": "split",
                    "rate": {"down": "200mbit", "up": "200mbit"},
                }
            ],
            "splitway_lan_clients": [
                {"name": "office", "interface": "eth1", "networks": ["10.99.0.0/24", "fd99::/64"], "policy": "split"}
            ],
            "splitway_host_policy": "split",
            "splitway_dns": {"servers": [HERE], "cache_size": 0},
            "splitway_dns_guard": {"refuse_dot": True, "refuse_doh": True},
            "splitway_hardening": {"client_isolation": True},
            **more,
        }

    def bring(self, backend: str) -> None:
        """Run site.yml, and set up the two ends of the tunnels."""
        self.run_site(backend, 4, self.everything(backend))

    def healed(self) -> bool:
        """Return whether the host is as the generation says."""
        return not any(drift(self.store, self.store.generation()).values())


def answering(host: Namespace, configuration: Path, four: str, six: str, at: str) -> None:
    """Have a host answer every question for *.example."""
    host.run("ip", "address", "add", f"{at}/32", "dev", "lo")
    configuration.write_text(
        f"port=53\nno-resolv\nno-hosts\nlocal-ttl=1\naddress=/example/{four}\naddress=/example/{six}\n"
    )
    host.start("dnsmasq", "--keep-in-foreground", f"--conf-file={configuration}", "--pid-file=", "--user=root")
    wait_for(lambda: four in host.run("dig", "@127.0.0.1", "+short", "x.example", check=False), "a resolver")


class Watched:
    """Everything that reaches the host behind the uplink, until it is closed."""

    def __init__(self, host: Namespace, interface: str) -> None:
        with host.entered():
            self._tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
            self._tap.bind((interface, 3))
        self._tap.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, 1 << 26)
        self._tap.settimeout(0.1)
        self.seen: list[Seen] = []
        self._ended = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data, origin = self._tap.recvfrom(4000)
            except TimeoutError:
                if self._ended:
                    return
                continue
            if origin[2] == socket.PACKET_HOST and origin[1] in (0x0800, 0x86DD):
                found = parsed(data)
                if found is not None:
                    self.seen.append(found)

    def leaks(self) -> list[Seen]:
        return [packet for packet in self.seen if packet.leaks()]

    def close(self) -> None:
        self._ended = True
        self._thread.join()
        self._tap.close()


def parsed(data: bytes) -> Optional[Seen]:
    """Return a packet; None: neighbours' talk."""
    if data[0] >> 4 == 4:
        source, destination = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
        protocol, header = data[9], (data[0] & 15) * 4
    else:
        source, destination = (socket.inet_ntop(socket.AF_INET6, data[at : at + 16]) for at in (8, 24))
        protocol, header = data[6], 40
        if protocol == 0 or (protocol == socket.IPPROTO_ICMPV6 and data[40] >= 130):
            return None
    port = struct.unpack_from(">H", data, header + 2)[0] if protocol in (6, 17) else 0
    return Seen(source, destination, protocol, port, data)


def question(name: str) -> bytes:
    return (
        struct.pack(">HHHHHH", 77, 0x0100, 1, 0, 0, 0)
        + b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        + b"\0"
        + struct.pack(">HH", 1, 1)
    )


class Sender:
    """Somebody who sends, all the time, what belongs into the tunnel or nowhere: by an old flow and by new ones.

    Args:
        host: from where; None: the gateway itself.
        direct: send also what goes nowhere though its way is direct: DNS over TLS, and errors about answers that
            nobody waits for any more, whose questions the gateway had taken to itself.
    """

    def __init__(self, host: Optional[Namespace], *, direct: bool) -> None:
        self._host, self._ended = host, False
        self._dot = direct and host is not None  # only clients are refused DNS over TLS
        self._patience = 0 if direct else 200  # questions
        self._asking: deque[socket.socket] = deque()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._host.entered() if self._host else contextlib.nullcontext():
            families = ((4, socket.AF_INET), (6, socket.AF_INET6))
            old = {version: socket.socket(family, socket.SOCK_DGRAM) for version, family in families}
            for number in itertools.count():
                if self._ended:
                    break
                for version, family in families:
                    send(old[version], WEB[version], 9)
                    for where, port, data in (
                        (WEB[version], 10, b"new"),
                        *([(DIRECT[version], 853, b"dot")] if self._dot else []),
                    ):
                        with socket.socket(family, socket.SOCK_DGRAM) as new:
                            send(new, where, port, data)
                    self._ask(family, RESOLVERS[version], f"n{number}.video.example")
                    with socket.socket(family) as new:
                        new.setblocking(False)
                        new.connect_ex((WEB[version], 80))
                time.sleep(0.015)
            for sender in (*old.values(), *self._asking):
                sender.close()

    def _ask(self, family: int, server: str, name: str) -> None:
        self._asking.append(socket.socket(family, socket.SOCK_DGRAM))
        send(self._asking[-1], server, 53, question(name))
        while len(self._asking) > self._patience:
            self._asking.popleft().close()

    def close(self) -> None:
        self._ended = True
        self._thread.join()


def send(sender: socket.socket, where: str, port: int, data: bytes = b"old") -> None:
    with contextlib.suppress(OSError):  # refused
        sender.sendto(data, (where, port))


@contextlib.contextmanager
def sending(*hosts: Optional[Namespace], direct: bool = True) -> Iterator[None]:
    """Have a `Sender` at each of these hosts while the body runs."""
    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.enter_context(contextlib.closing(Sender(host, direct=direct)))
        yield
