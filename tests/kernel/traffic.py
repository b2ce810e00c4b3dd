# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway between clients, two tunnels and an uplink, for tests that send packets.

Each exit answers on every address with its own name; so a client's connection tells the way it went.
The wires wg-up-1 and wg-up-2 stand in for tunnels. Policy routing is set up by hand here: marks are the subject.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

import pytest
from namespaces import Namespace, NamespaceSystem, Network, run_here

from splitway.reconcile import flows, marks, sets
from splitway.reconcile.base import Change, additions, removals
from splitway.services import NUMBERS
from splitway.state import AddressSet, Egress, FamilyMarks, MarkPolicy, MarkRule, Marks, mark_of

MASK, BIT = 0x3FFF, 0x2000
DIRECT, BLOCK, US, EU = 0, 99, 101, 102
EGRESSES = (Egress(DIRECT, "direct"), Egress(BLOCK, "block"), Egress(US, "us", "wg-up-1"), Egress(EU, "eu", "wg-up-2"))
EXITS = {"uplink": (90, DIRECT), "wg-up-1": (91, US), "wg-up-2": (92, EU)}
SPECIAL = {
    4: ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4"),
    6: ("::1/128", "fc00::/7", "fe80::/10", "ff00::/8"),
}
METADATA = {4: ("169.254.0.0/16",), 6: ("fd00:ec2::254/128",)}
CLIENTS = {4: ("10.8.0.2", "10.8.0.3", "10.8.0.4"), 6: ("fdcc::2", "fdcc::3", "fdcc::4")}
BACKENDS = ("ipset", "nftables")
PATIENCE = 10.0  # seconds for a program, which a busy machine keeps waiting; the kernel answers by itself
SETTLED = 0.1  # seconds after which the kernel has handed on what was sent; it may leave that to a thread of its own


class Attempt(NamedTuple):
    """The first packet of a flow."""

    source: str
    destination: str
    protocol: str = "udp"
    port: int = 9  # 0 where the protocol has none


class Lab:
    """The hosts around the gateway."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.client = network.host("client")
        addresses = tuple(f"{address}/16" for address in CLIENTS[4]) + tuple(f"{address}/64" for address in CLIENTS[6])
        network.connect(self.client, "wg0", ("10.8.0.1/16", "fdcc::1/64"), addresses)
        self.exits = {name: self._exit(name, number, egress) for name, (number, egress) in EXITS.items()}
        for family in ("-4", "-6"):
            run_here("ip", family, "rule", "add", "pref", "5000", "iif", "wg0", "fwmark", f"0/{BIT:#x}", "unreachable")
            run_here("ip", family, "route", "add", "prohibit", "default", "table", str(BLOCK))
            for number in (BLOCK, US, EU):
                mark = f"{mark_of(number, MASK):#x}/{MASK:#x}"
                run_here("ip", family, "rule", "add", "pref", "5030", "fwmark", mark, "lookup", str(number))
        for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            with open(f"/proc/sys/net/{key}", "w", encoding="ascii") as stream:
                stream.write("1")

    def _exit(self, name: str, number: int, egress: int) -> Namespace:
        host = self.network.host(name)
        ours, theirs = (f"10.{number}.0.1/24", f"fd{number}::1/64"), (f"10.{number}.0.2/24", f"fd{number}::2/64")
        self.network.connect(host, name, ours, theirs)
        for family, via in (("-4", f"10.{number}.0.2"), ("-6", f"fd{number}::2")):
            table = ("table", str(egress)) if egress else ()
            run_here("ip", family, "route", "add", "default", "via", via, "dev", name, *table)
            # The exit is the whole Internet: all addresses are its own. In table main, below the wire's network.
            host.run("ip", family, "route", "flush", "default")
            host.run("ip", family, "route", "add", "local", "default", "dev", "lo", "table", "main")
        _answer(host, name)
        return host

    def address(self, name: str, version: int) -> str:
        """Return the gateway's own address on the wire to an exit."""
        number = EXITS[name][0]
        return f"10.{number}.0.1" if version == 4 else f"fd{number}::1"

    def way(self, destination: str, source: Optional[str] = None, timeout: float = 1.0) -> str:
        """Return the name of the exit that a new TCP connection reaches, "" if it reaches none."""
        with contextlib.closing(self.open(destination, source, timeout)) as connection:
            try:
                return connection.recv(100).decode() if connection.fileno() >= 0 else ""
            except OSError:
                return ""

    def open(self, destination: str, source: Optional[str] = None, timeout: float = 1.0) -> socket.socket:
        """Return a connection of the client's, a closed one if it could not be made within `timeout` seconds."""
        family = socket.AF_INET6 if ":" in destination else socket.AF_INET
        with self.client.entered():
            connection = socket.socket(family, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.bind((source or CLIENTS[6 if ":" in destination else 4][0], 0))
            connection.connect((destination, 80))
            connection.settimeout(PATIENCE)
        except OSError:
            connection.close()
        return connection

    def send(self, pairs: list[tuple[str, str]]) -> list[int]:
        """Send a datagram for each (source, destination); return the source ports."""
        ports = []
        with self.client.entered():
            for source, destination in pairs:
                family = socket.AF_INET6 if ":" in source else socket.AF_INET
                with socket.socket(family, socket.SOCK_DGRAM) as sender:
                    sender.bind((source, 0))
                    sender.sendto(b"x", (destination, 9))
                    ports.append(int(sender.getsockname()[1]))
        return ports

    def send_from(self, host: Namespace, destination: str) -> None:
        """Send one IPv4 datagram from a host."""
        with host.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (destination, 9))

    def reaches(self, host: Namespace, destination: str, port: int) -> bool:
        """Return whether a new IPv4 connection from a host is answered within half a second."""
        with host.entered(), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(0.5)
            return connection.connect_ex((destination, port)) == 0

    def marks(self, system: NamespaceSystem, pairs: list[tuple[str, str]]) -> list[Optional[int]]:
        """Send a datagram for each pair; return the flows' marks, None for what was let through nowhere."""
        ports = self.send(pairs)

        def look() -> list[Optional[int]]:
            found = {(flow.source, flow.destination, flow.source_port): flow.mark for flow in flows.read(system)}
            return [found.get((*pair, port)) for pair, port in zip(pairs, ports)]

        return _settled(look)

    def refuse_nothing(self) -> None:
        """Have the exits leave what they do not answer alone: a refused connection is a flow no more."""
        for host in self.exits.values():
            host.run("nft", "add table inet quiet")
            host.run("nft", "add chain inet quiet out { type filter hook output priority 0; }")
            host.run("nft", "add rule inet quiet out tcp flags & rst == rst drop")

    def marks_of(self, system: NamespaceSystem, attempts: list[Attempt]) -> list[Optional[int]]:
        """Begin each of these flows; return their marks, None for what was let through nowhere."""
        sent = [(attempt, self._begin(attempt)) for attempt in attempts]
        names = {number: name for name in NUMBERS for number in NUMBERS[name].values()}

        def look() -> list[Optional[int]]:
            found = {
                (
                    Attempt(flow.source, flow.destination, names[flow.protocol], flow.destination_port),
                    flow.source_port,
                ): flow
                for flow in flows.read(system)
                if flow.protocol in names
            }
            return [found[entry].mark if entry in found else None for entry in sent]

        return _settled(look)

    def _begin(self, attempt: Attempt) -> int:
        """Send the first packet; return the port that it came from."""
        v6 = ":" in attempt.source
        family = socket.AF_INET6 if v6 else socket.AF_INET
        with self.client.entered():
            if attempt.protocol == "icmp":
                with socket.socket(family, socket.SOCK_RAW, NUMBERS["icmp"][6 if v6 else 4]) as sender:
                    sender.bind((attempt.source, 0))
                    request = b"\x08\x00\xf7\xfd\x00\x01\x00\x01" if not v6 else b"\x80\x00\x00\x00\x00\x01\x00\x01"
                    sender.sendto(request, (attempt.destination, 0))
                return 0
            kind = socket.SOCK_STREAM if attempt.protocol == "tcp" else socket.SOCK_DGRAM
            with socket.socket(family, kind) as sender:
                sender.setblocking(False)
                sender.bind((attempt.source, 0))
                port = int(sender.getsockname()[1])
                if kind == socket.SOCK_STREAM:
                    sender.connect_ex((attempt.destination, attempt.port))
                else:
                    sender.sendto(b"x", (attempt.destination, attempt.port))
                return port


def _settled(look: Callable[[], list[Optional[int]]]) -> list[Optional[int]]:
    """Return the marks that a look finds; where some are missing, what another one finds a moment later."""
    marks = look()
    if None in marks:
        time.sleep(SETTLED)
        marks = look()
    return marks


def _answer(host: Namespace, name: str) -> None:
    with host.entered():
        listener = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)
    kept: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(ConnectionError):  # who only tries does not wait for it
                    connection.sendall(name.encode())
                threading.Thread(target=_repeat, args=(connection,), daemon=True).start()
                kept.append(connection)

    threading.Thread(target=serve, daemon=True).start()


def _repeat(connection: socket.socket, size: int = 100) -> None:
    with contextlib.suppress(OSError):
        while data := connection.recv(size):
            connection.sendall(data)


@contextlib.contextmanager
def captured(host: Namespace, interface: str) -> Iterator[list[bytes]]:
    """Collect the IP packets (v4, v6 with ICMP errors but no neighbour discovery) that reach a host meanwhile."""
    packets: list[bytes] = []
    with host.entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        tap.bind((interface, 3))
    tap.settimeout(SETTLED)
    yield packets
    with contextlib.suppress(TimeoutError):
        while True:
            data, origin = tap.recvfrom(2000)
            inbound = origin[2] == socket.PACKET_HOST
            v6 = origin[1] == 0x86DD and (data[6] in (6, 17) or (data[6] == 58 and data[40] < 128))
            if inbound and (origin[1] == 0x0800 or v6):
                packets.append(data)
    tap.close()


@contextlib.contextmanager
def echoing(host: Namespace) -> Iterator[int]:
    """Send back, at the port that is given, whatever comes, while the body runs."""
    with host.entered():
        listener = socket.create_server(("::", 5001), family=socket.AF_INET6, dualstack_ipv6=True)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=_repeat, args=(listener.accept()[0], 1 << 16), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield 5001
    listener.close()


@pytest.fixture
def lab(network: Network) -> Lab:
    return Lab(network)


def rule(sets_: str, egress: int) -> MarkRule:
    return MarkRule(tuple(sets_.split()), egress)


def policies(family: int) -> tuple[MarkPolicy, ...]:
    """Two policies over one learned, one static and one private-range list."""
    blocked = rule(f"sw{family}m", BLOCK)
    return (
        MarkPolicy(1, "first", (rule(f"sw{family}d1 sw{family}n1", US), rule(f"sw{family}d2", EU)), DIRECT, (blocked,)),
        MarkPolicy(2, "second", (rule(f"sw{family}n1", EU),), US, (rule(f"sw{family}p1", EU), blocked)),
    )


NETWORKS = {
    "sw4n1": ("198.51.100.0/24", "203.0.113.7/32"),
    "sw6n1": ("2001:db8:1::/48",),
    "sw4p1": ("10.77.0.0/16",),
    "sw6p1": ("fd77::/16",),
    **{f"sw{family}s": SPECIAL[family] for family in (4, 6)},
    **{f"sw{family}m": METADATA[family] for family in (4, 6)},
}


def the_sets(timeout: int = 600, networks: Optional[dict[str, tuple[str, ...]]] = None) -> tuple[AddressSet, ...]:
    learned = tuple(AddressSet(f"sw{family}d{number}", family, timeout) for family in (4, 6) for number in (1, 2))
    static = (networks or NETWORKS).items()
    return learned + tuple(AddressSet(name, int(name[2]), None, members) for name, members in static)


def the_marks(backend: str, networks: Optional[dict[str, tuple[str, ...]]] = None) -> Marks:
    """The first client has policy 1, the second policy 2, the third none."""
    families = {
        family: FamilyMarks({CLIENTS[family][0]: 1, CLIENTS[family][1]: 2}, policies(family), f"sw{family}s")
        for family in (4, 6)
    }
    kept = networks or NETWORKS
    return Marks("wg0", "wg-up-", MASK, EGRESSES, families[4], families[6], kept if backend == "nftables" else {})


def bring(system: NamespaceSystem, backend: str, wanted: tuple[AddressSet, ...], section: Optional[Marks]) -> list[str]:
    """Bring both sections in as a transaction does, removals last and in reverse; return what was changed."""
    done: list[Change] = []
    for choose, order in ((additions, (sets, marks)), (removals, (marks, sets))):
        for reconciler in order:
            desired = wanted if reconciler is sets else section
            changes = choose(reconciler.plan(desired, reconciler.read(system, desired, backend)))
            reconciler.apply(system, changes)
            done += changes
    return [f"{change.action} {change.what}" for change in done]


def learn(backend: str, name: str, *addresses: str, timeout: Optional[int] = None) -> None:
    """Add addresses to a learned set as dnsmasq does."""
    for address in addresses:
        if backend == "ipset":
            run_here("ipset", "-exist", "add", name, address, *(("timeout", str(timeout)) if timeout else ()))
        else:
            extra = f" expires {timeout}s" if timeout else ""
            run_here("nft", f"add element inet splitway {name} {{ {address}{extra} }}")


def forget(backend: str, name: str, address: str) -> None:
    """Let an address expire."""
    if backend == "ipset":
        run_here("ipset", "del", name, address)
    else:
        run_here("nft", f"delete element inet splitway {name} {{ {address} }}")
