# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets between real programs: the gateway (the test's namespace) is the near end, a further host the far end.

The programs are called as the engine calls them, with nothing else in their environment, as under systemd.
websocat is always there; wstunnel is what PATH or SPLITWAY_WSTUNNEL names: several paths with colons between are
several versions, each of which is tried as client and as server of each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Optional, Union

import pytest
from namespaces import Namespace, Network, wait_for

from splitway.relay import Command, front, websocat, wstunnel
from splitway.state import Forwarding, PortRange, TransportClient, TransportServer, TransportTarget

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from labkit.authority import Authority, Issued

PATH = "not-for-everybody.4711"
NAME = "exit.example.net"
FAR4, FAR6 = "10.9.0.2", "fd09::2"
WIREGUARD, PROXY, UNSERVED = 51820, 1080, 5353  # ports on the far host's loopback
UDP, TCP = 41000, 41001  # ports on the gateway's
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _wstunnels() -> list[str]:
    named = os.environ.get("SPLITWAY_WSTUNNEL")
    found = named.split(":") if named else [shutil.which("wstunnel")]
    return [path for path in found if path]


def _websocat() -> str:
    return shutil.which("websocat", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "websocat"


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two programs that speak to each other."""

    name: str  # wstunnel | websocat
    client: str
    server: str


WSTUNNELS = [Pair("wstunnel", client, server) for client in _wstunnels() for server in _wstunnels()]
PAIRS = [Pair("websocat", _websocat(), _websocat()), *WSTUNNELS]


def forwarding(protocol: str, port: int, target: int) -> Forwarding:
    """Return what is forwarded from a port of the gateway's loopback to one of the far host's."""
    return Forwarding("any", protocol, PortRange("any", port, port), f"127.0.0.1:{target}")


class Relay:
    """Both ends of a WebSocket, before anything is started. The dataclasses may be replaced."""

    def __init__(self, pair: Pair, network: Network, folder: Path) -> None:
        self.pair = pair
        self.folder = folder
        self.far = network.host("exit")
        network.connect(self.far, "wire", ("10.9.0.1/24", "fd09::1/64"), (f"{FAR4}/24", f"{FAR6}/64"))
        self.authority = Authority(folder / "authority")
        self.issued = self.authority.issue("exit", NAME, FAR4, FAR6)
        self.server = TransportServer(
            name="exit",
            program=pair.name,
            listen=("0.0.0.0", "::"),  # noqa: S104
            port=PortRange("server", 443, 443),
            path=PATH,
            certificate=str(self.issued.certificate),
            key=str(self.issued.key),
            targets=(
                TransportTarget("udp", f"127.0.0.1:{WIREGUARD}"),
                TransportTarget("tcp", f"127.0.0.1:{PROXY}"),
            ),
        )
        self.client = TransportClient(
            upstream="us",
            interface="wg-up-1",
            program=pair.name,
            servers=(f"wss://{FAR4}:443",),
            path=PATH,
            forwardings=(forwarding("udp", UDP, WIREGUARD), forwarding("tcp", TCP, PROXY)),
            ca=str(self.authority.certificate),
            minimum_idle=2,
            ping=5,
        )
        self.running: dict[str, list[subprocess.Popen[bytes]]] = {"client": [], "server": []}
        self.closing = threading.Event()
        self.threads = [
            self._answer(port, kind)
            for port, kind in (
                (WIREGUARD, socket.SOCK_DGRAM),
                (UNSERVED, socket.SOCK_DGRAM),
                (PROXY, socket.SOCK_STREAM),
            )
        ]

    def start_server(self) -> None:
        """Start the far end and wait until it listens."""
        end = self.server
        if self.pair.name == "wstunnel":
            restrictions = self.folder / "restrictions.yml"
            restrictions.write_text(wstunnel.restrictions(end), encoding="utf-8")
            for address in wstunnel.binds(end.listen):
                self._run("server", wstunnel.server(self.pair.server, end, address, str(restrictions)))
        else:
            sockets = {target: str(self.folder / f"{target.protocol}.sock") for target in end.targets}
            for target in end.targets:
                self._run("server", websocat.server(self.pair.server, target, sockets[target]))
            configuration = self.folder / "nginx.conf"
            configuration.write_text(front.configuration(end, sockets, str(self.folder)), encoding="utf-8")
            command = front.command("nginx", str(configuration))
            # On a host a user of its own runs it; here there is only root.
            self._run("server", dataclasses.replace(command, arguments=(*command.arguments, "-g", "user root;")))
            wait_for(lambda: all(map(os.path.exists, sockets.values())), "the sockets of websocat")
        listening = ("ss", "-Hltn", f"sport = :{end.port.port}")
        wait_for(lambda: self.far.run(*listening), f"the server\n{self.log()}")

    def start_client(self) -> None:
        """Start the near end. wstunnel has its ports only when it has reached the server: nobody waits for them."""
        if self.pair.name == "wstunnel":
            self._run("client", wstunnel.client(self.pair.client, self.client))
        else:
            for entry in self.client.forwardings:
                self._run("client", websocat.client(self.pair.client, self.client, entry))

    def stop(self, end: str) -> None:
        """End one end's processes."""
        for process in self.running[end]:
            process.terminate()
        for process in self.running[end]:
            process.wait(timeout=10)
        self.running[end] = []

    def close(self) -> None:
        self.closing.set()
        for end in self.running:
            self.stop(end)
        for thread in self.threads:
            thread.join()

    def log(self) -> str:
        """Return all that the programs have said."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("*.log")))

    def datagram(self, size: int = 148, timeout: float = 2.0, port: int = UDP) -> bool:
        """Return whether a datagram of some bytes comes back as it was."""
        sent = os.urandom(size)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(timeout)
            channel.sendto(sent, ("127.0.0.1", port))
            try:
                return channel.recv(65536) == sent
            except OSError:
                return False

    def stream(self, size: int, timeout: float = 5.0) -> Union[bool, str]:
        """Return whether bytes that are sent over TCP all come back, and then the end; else what went wrong."""
        sent = os.urandom(size)
        received = bytearray()
        try:
            with socket.create_connection(("127.0.0.1", TCP), timeout=timeout) as channel:
                threading.Thread(target=_send_all, args=(channel, sent), daemon=True).start()
                while len(received) < size:
                    part = channel.recv(65536)
                    if not part:
                        break
                    received += part
                channel.shutdown(socket.SHUT_WR)
                return bytes(received) == sent and channel.recv(1) == b""
        except OSError as error:
            return f"{len(received)} bytes, then {error}"

    def _run(self, end: str, command: Command) -> None:
        number = len(list(self.folder.glob("*.log")))
        log = (self.folder / f"{number:02}-{end}.log").open("wb")
        prefix = ("nsenter", f"--net={self.far.path}") if end == "server" else ()
        with log:
            process = subprocess.Popen(
                [*prefix, *command.arguments],
                env={"PATH": SYSTEM_PATH, **dict(command.environment)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.running[end].append(process)

    def _answer(self, port: int, kind: socket.SocketKind) -> threading.Thread:
        """Answer on the far host's loopback with what comes in."""
        with self.far.entered():
            listener = socket.socket(socket.AF_INET, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.settimeout(0.1)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        thread = threading.Thread(target=self._echo, args=(listener, kind))
        thread.start()
        return thread

    def _echo(self, listener: socket.socket, kind: socket.SocketKind) -> None:
        with listener:
            while not self.closing.is_set():
                try:
                    if kind == socket.SOCK_DGRAM:
                        data, peer = listener.recvfrom(65536)
                        listener.sendto(data, peer)
                    else:
                        threading.Thread(target=_return_all, args=(listener.accept()[0],), daemon=True).start()
                except TimeoutError:
                    continue


def _send_all(channel: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the reader says what is wrong
        channel.sendall(data)


def _return_all(channel: socket.socket) -> None:
    channel.settimeout(20)
    with channel:
        try:
            while data := channel.recv(65536):
                channel.sendall(data)
        except OSError:
            return


def relay_of(pair: Pair, network: Network, folder: Path) -> Iterator[Relay]:
    """Yield a relay and end it."""
    relay = Relay(pair, network, folder)
    try:
        yield relay
    finally:
        relay.close()


def named(pair: Optional[Pair]) -> str:
    """Return what a test's name says of a pair."""
    if pair is None or pair.name == "websocat":
        return "websocat"
    return f"wstunnel-{_version(pair.client)}-{_version(pair.server)}"


def _version(program: str) -> str:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return f"{told.rpartition(' ')[2]}@{_wstunnels().index(program)}"


needs_wstunnel = pytest.mark.skipif(not WSTUNNELS, reason="no wstunnel on PATH, none in SPLITWAY_WSTUNNEL")

__all__ = [
    "NAME",
    "PAIRS",
    "PATH",
    "TCP",
    "UDP",
    "UNSERVED",
    "WSTUNNELS",
    "Issued",
    "Namespace",
    "Relay",
    "needs_wstunnel",
]
