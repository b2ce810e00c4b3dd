# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway and an exit with a WebSocket between them, as units of ours (relays.py has the programs alone)."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import Namespace, NamespaceSystem, Network
from relays import NAME, PAIRS, Authority

from splitway.kept import Kept
from splitway.ports import with_ports
from splitway.reconcile import transports
from splitway.reconcile.base import Change, additions, removals
from splitway.state import (
    Forwarding,
    PortRange,
    Program,
    State,
    TransportClient,
    Transports,
    TransportServer,
    TransportTarget,
)

PATH = "k7Qe2vXh.B0uW9sTz"
EXIT, PUBLIC = "10.90.0.2", "198.51.100.9"
"""Its address on the wire, which no policy concerns, and another that policies do."""
TARGET = "127.0.0.1:51820"


def binary(program: str) -> str:
    """Return where a relay is, "" when this machine has none."""
    return next((pair.client for pair in PAIRS if pair.name == program and shutil.which(pair.client)), "")


def own_copy(program: str, folder: Path) -> Path:
    """Return a copy of a relay where our user may execute it."""
    own = folder / program
    shutil.copy(binary(program), own)
    for parent in own.parents[:-2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    own.chmod(0o755)
    return own


PROGRAMS = [
    pytest.param(name, marks=pytest.mark.skipif(not binary(name), reason=f"{name} is not installed"))
    for name in ("websocat", "wstunnel")
]


def bring(system: NamespaceSystem, desired: Transports | None) -> list[str]:
    """Bring the section in, with the ports that this host chose; return what was changed."""
    state = with_ports(State(transports=desired), Kept(system).ports.read())
    changes = transports.plan(state.transports, transports.read(system, state.transports))
    transports.apply(system, additions(changes))
    transports.apply(system, removals(changes))
    return said(changes)


def planned(system: NamespaceSystem, desired: Transports | None) -> list[str]:
    state = with_ports(State(transports=desired), Kept(system).ports.read())
    return said(transports.plan(state.transports, transports.read(system, state.transports)))


def said(changes: tuple[Change, ...]) -> list[str]:
    return [f"{change.action} {change.what}" for change in changes]


class Relay:
    """The two hosts. What comes to the exit's port 51820 from its own loopback is answered."""

    def __init__(self, system: NamespaceSystem, network: Network, folder: Path, program: str) -> None:
        self.system, self.network = system, network
        self.exit_host: Namespace = network.host("exit")
        network.connect(self.exit_host, "uplink", ("10.90.0.1/24", "fd90::1/64"), (f"{EXIT}/24", "fd90::2/64"))
        with self.exit_host.entered():
            self.exit = NamespaceSystem(folder / "exit")
        self.authority = Authority(folder / "ca")
        issued = self.authority.issue("exit", NAME, EXIT, PUBLIC)
        self.certificate, self.key = issued.certificate, issued.key
        self.programs = (Program(program, str(own_copy(program, folder))),)
        self.program = program

    def server(self, low: int = 443, high: int = 443) -> Transports:
        server = TransportServer(
            name="exit",
            program=self.program,
            listen=("0.0.0.0", "::"),  # noqa: S104
            port=PortRange("transport/server", low, high),
            path=PATH,
            certificate=str(self.certificate),
            key=str(self.key),
            targets=(TransportTarget("udp", TARGET),),
        )
        return Transports(servers=(server,), programs=self.programs)

    def client(self, url: str = f"wss://{EXIT}:443", *upstreams: str) -> Transports:
        clients = tuple(
            TransportClient(
                upstream=upstream,
                interface="wg-up-1",
                program=self.program,
                servers=(url,),
                path=PATH,
                forwardings=(
                    Forwarding("wireguard", "udp", PortRange(f"transport/{upstream}/wireguard", 41000, 41003), TARGET),
                ),
                ca=str(self.authority.certificate),
            )
            for upstream in upstreams or ("us",)
        )
        return Transports(clients=clients, programs=self.programs)

    def bring_exit(self, desired: Transports | None) -> list[str]:
        with self.exit_host.entered():
            return bring(self.exit, desired)

    def answer(self) -> socket.socket:
        """Return the socket of a target on the exit's loopback."""
        with self.exit_host.entered():
            target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        target.bind(("127.0.0.1", 51820))
        target.settimeout(2)
        return target


def ask(port: int, target: socket.socket, size: int = 1400, patience: float = 15) -> bool:
    """Return whether a datagram comes to the target and its answer back, in the end."""
    end = time.monotonic() + patience
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.5)
        target.settimeout(0.5)
        while time.monotonic() < end:
            sent = os.urandom(size)
            try:
                asker.sendto(sent, ("127.0.0.1", port))
                received, source = target.recvfrom(2000)
                while received != sent:
                    received, source = target.recvfrom(2000)
                target.sendto(received, source)
                if asker.recv(2000) == sent:
                    return True
            except OSError:
                time.sleep(0.1)
    return False


@pytest.fixture
def relay(system: NamespaceSystem, network: Network, program: str) -> Iterator[Relay]:
    # pytest's own folders are too deep for the address of a Unix socket.
    with tempfile.TemporaryDirectory(prefix="sw") as folder:
        made = Relay(system, network, Path(folder), program)
        yield made
        made.exit.plain_units.close()
