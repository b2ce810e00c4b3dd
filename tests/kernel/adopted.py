# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway whose wg0 is wg-easy's: made as wg-quick makes it, with wg-easy's own PostUp rules; clients and an exit.

All tunnels are real: each end has a wireguard-go of its own.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from namespaces import Namespace, Network, run_here, wait_for, wait_for_addresses
from traffic import PATIENCE

ADDRESSES = ("10.8.0.1/24", "fdcc:ad94:bacf:61a4::cafe:1/112")
PORT = 51820
UPLINK = "eth0"
ALICE = ("10.8.0.2", "fdcc:ad94:bacf:61a4::cafe:2")
STRANGER = ("10.8.0.9", "fdcc:ad94:bacf:61a4::cafe:9")
TUNNELLED: tuple[str, str] = ("198.51.100.5", "2001:db8:1::5")
DIRECTLY = ("198.51.100.200", "2001:db8:2::5")

# What wg-easy 15 has as its hooks, with the cidr, device and port filled in.
_HOOKS = (
    ("iptables", "-t nat {} POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE"),
    ("iptables", "{} INPUT -p udp -m udp --dport 51820 -j ACCEPT"),
    ("iptables", "{} FORWARD -i wg0 -j ACCEPT"),
    ("iptables", "{} FORWARD -o wg0 -j ACCEPT"),
    ("ip6tables", "-t nat {} POSTROUTING -s fdcc:ad94:bacf:61a4::cafe:0/112 -o eth0 -j MASQUERADE"),
    ("ip6tables", "{} INPUT -p udp -m udp --dport 51820 -j ACCEPT"),
    ("ip6tables", "{} FORWARD -i wg0 -j ACCEPT"),
    ("ip6tables", "{} FORWARD -o wg0 -j ACCEPT"),
)


@dataclass(frozen=True)
class Pair:
    """A WireGuard key pair."""

    private: str
    public: str

    @staticmethod
    def make() -> Pair:
        private = run_here("wg", "genkey").strip()
        done = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True)
        return Pair(private, done.stdout.strip())


Run = Callable[..., str]


def interface(run: Run, start: Callable[..., Any], name: str, key: Pair, *addresses: str, port: int = 0) -> None:
    """Make a WireGuard interface by hand; its wireguard-go ends with it."""
    at = Path(f"/run/wireguard/{name}.sock")
    at.unlink(missing_ok=True)  # of one that was killed
    start("wireguard-go", "--foreground", name)
    wait_for(lambda: listens(at), f"the socket of {name}")
    set_key(run, name, key, port)
    for address in addresses:
        run("ip", "address", "add", address, "dev", name, *(("nodad",) if ":" in address else ()))
    run("ip", "link", "set", name, "mtu", "1420", "up")
    wait_for_addresses(run, name, *addresses)


def listens(at: Path) -> bool:
    """Return whether somebody can be asked at a socket: it is there a moment before that."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.connect(str(at))
        return True
    return False


def set_key(run: Run, name: str, key: Pair, port: int) -> None:
    run(
        "wg", "set", name, *(("listen-port", str(port)) if port else ()), "private-key", "/dev/stdin", input=key.private
    )


def here(*argv: str, input: str = "") -> str:
    """Run a program on the gateway."""
    done = subprocess.run(argv, input=input, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (argv, done.stderr)
    return done.stdout


class Manager:
    """Somebody else who has wg0: makes it, gives it its peers, takes it down and up again."""

    def __init__(self) -> None:
        self.key = Pair.make()
        self.peers: dict[str, str] = {}  # public key → allowed addresses
        self._processes: list[subprocess.Popen[bytes]] = []

    def up(self) -> None:
        interface(here, self._start, "wg0", self.key, *ADDRESSES, port=PORT)
        for key, allowed in self.peers.items():
            here("wg", "set", "wg0", "peer", key, "allowed-ips", allowed)
        self._hooks("-A")

    def down(self) -> None:
        here("ip", "link", "delete", "wg0")
        for process in self._processes:
            process.wait(30)
        self._processes.clear()
        self._hooks("-D")

    def give(self, key: str, addresses: tuple[str, ...]) -> None:
        """Let a client in, as wg-easy's page does; wg0 stays."""
        self.peers[key] = ",".join(addresses)
        here("wg", "set", "wg0", "peer", key, "allowed-ips", self.peers[key])

    def take(self, key: str) -> None:
        del self.peers[key]
        here("wg", "set", "wg0", "peer", key, "remove")

    def shown(self) -> str:
        """Return all of wg0 that is configuration but its queue, and of the rules what is its manager's."""
        fields = [here("wg", "show", "wg0", what) for what in ("private-key", "listen-port", "fwmark", "allowed-ips")]
        keepalives = here("wg", "show", "wg0", "persistent-keepalive")
        link = here("ip", "-o", "address", "show", "dev", "wg0") + self.link()
        parameters = [
            Path(f"/proc/sys/net/{name}").read_text()
            for name in ("ipv4/conf/wg0/rp_filter", "ipv4/conf/wg0/accept_local", "ipv6/conf/wg0/disable_ipv6")
        ]
        rules = "".join(here(f"{program}-save") for program in ("iptables", "ip6tables"))
        own = [line for line in rules.splitlines() if line.startswith("-A") and "SPLITWAY" not in line]
        return "\n".join((*("".join(sorted(text)) for text in (*fields, keepalives)), link, *parameters, *own))

    def link(self) -> str:
        """Return what is said of the interface itself but which queue it has, where rates are kept."""
        return re.sub(r"qdisc \S+", "", here("ip", "-o", "link", "show", "dev", "wg0"))

    def queue(self) -> str:
        return here("tc", "qdisc", "show", "dev", "wg0")

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _start(self, *argv: str) -> None:
        self._processes.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def _hooks(self, verb: str) -> None:
        for program, rule in _HOOKS:
            here(program, *rule.format(verb).split())


class Client:
    """A host with a tunnel to wg0 and nothing else."""

    def __init__(self, network: Network, number: int, addresses: tuple[str, ...], manager: Manager) -> None:
        self.host: Namespace = network.host(f"client{number}")
        self.key, self.addresses, self._manager = Pair.make(), addresses, manager
        self._tunnel = f"wg-client{number}"  # sockets are named for the interface, in one folder for all hosts
        network.connect(self.host, f"home{number}", (f"10.7{number}.0.1/24",), (f"10.7{number}.0.2/24",))
        self._gateway = f"10.7{number}.0.1:{PORT}"
        interface(self.host.run, self.host.start, self._tunnel, self.key, *(f"{one}/32" for one in addresses[:1]))
        self.host.run("ip", "address", "add", f"{addresses[1]}/128", "dev", self._tunnel, "nodad")
        wait_for_addresses(self.host.run, self._tunnel, addresses[1])
        self.greet()
        for family in ("-4", "-6"):
            self.host.run("ip", family, "route", "replace", "default", "dev", self._tunnel)

    def greet(self) -> None:
        """Shake hands anew: whoever lost his session waits for 15 s until he notices."""
        peer, tunnel = self._manager.key.public, self._tunnel
        self.host.run("wg", "set", tunnel, "peer", peer, "remove")
        self.host.run(
            "wg", "set", tunnel, "peer", peer, "allowed-ips", "0.0.0.0/0,::/0", "endpoint", self._gateway,
            "persistent-keepalive", "1",
        )  # fmt: skip

    def way(self, destination: str, timeout: float = 1.0) -> str:
        """Return what answers a new connection, "" when nothing does, "refused" when that is said at once."""
        v6 = ":" in destination
        with self.host.entered():
            connection = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM)
        with connection:
            connection.settimeout(timeout)
            try:
                connection.bind((self.addresses[1 if v6 else 0], 0))
                connection.connect((destination, 80))
                return connection.recv(100).decode()
            except TimeoutError:
                return ""
            except OSError:
                return "refused"

    def hears(self, server: str) -> bool:
        """Return whether a name server answers, with whatever, what a browser asks at start."""
        question = b"\0\1\1\0\0\1\0\0\0\0\0\0\x13use-application-dns\3net\0\0\1\0\1"
        with self.host.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.5)
            try:
                asking.sendto(question, (server, 53))
                return len(asking.recv(512)) > 0
            except OSError:
                return False


class Far:
    """A host at the other side of a wire, where all that the tests ask for is, and which answers with its name."""

    def __init__(self, network: Network, name: str, wire: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
        self.host = network.host(name)
        network.connect(self.host, wire, ours, theirs)
        for destination in ("198.51.100.0/24", "2001:db8::/32"):
            self.host.run("ip", "-6" if ":" in destination else "-4", "route", "add", "local", destination, "dev", "lo")
        with self.host.entered():
            listener = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.sendall(name.encode())

        threading.Thread(target=serve, daemon=True).start()


class World:
    """The gateway with wg0, two clients of it, an exit and the Internet."""

    def __init__(self, network: Network, manager: Manager) -> None:
        self.manager = manager
        self.internet = Far(network, "uplink", UPLINK, ("10.90.0.1/24", "fd90::1/64"), ("10.90.0.2/24", "fd90::2/64"))
        self.exit = Far(network, "us", "wire", ("10.91.0.1/24",), ("10.91.0.2/24",))
        for family, via in (("-4", "10.90.0.2"), ("-6", "fd90::2")):
            run_here("ip", family, "route", "add", "default", "via", via, "dev", UPLINK)
        self.tunnel, self.exit_key = Pair.make(), Pair.make()
        self._exit()
        manager.up()
        self.alice, self.stranger = Client(network, 1, ALICE, manager), Client(network, 2, STRANGER, manager)
        for client in (self.alice, self.stranger):
            manager.give(client.key.public, tuple(f"{one}/{128 if ':' in one else 32}" for one in client.addresses))
            client.greet()

    def _exit(self) -> None:
        host = self.exit.host
        interface(host.run, host.start, "wg-exit", self.exit_key, "10.64.0.1/24", "fd64::1/64", port=PORT)
        host.run("wg", "set", "wg-exit", "peer", self.tunnel.public, "allowed-ips", "10.64.0.2/32,fd64::2/128")

    def variables(self, backend: str, **server: Any) -> dict[str, Any]:
        """Return what the operator writes."""
        return {
            "splitway_backend": backend,
            "splitway_server": {"adopt": True, "addresses": list(ADDRESSES), **server},
            "splitway_dns": {"servers": ["10.90.0.2"]},
            "splitway_upstreams": [
                {
                    "name": "us",
                    "endpoint": f"10.91.0.2:{PORT}",
                    "public_key": self.exit_key.public,
                    "private_key": self.tunnel.private,
                    "addresses": ["10.64.0.2/32", "fd64::2/128"],
                }
            ],
            "splitway_policies": {
                "films": {
                    "rules": [
                        {"network": "198.51.100.0/25", "egress": "us"},
                        {"network": "2001:db8:1::/48", "egress": "us"},
                    ]
                }
            },
            "splitway_clients": [
                {"name": "alice", "addresses": list(ALICE), "policy": "films", "rate": {"down": "50mbit"}}
            ],
        }

    def ways(self, client: Client) -> tuple[Optional[str], ...]:
        """Return what answers a client, tunnelled and directly, in both families."""
        return tuple(client.way(destination, PATIENCE) for destination in (*TUNNELLED, *DIRECTLY))
