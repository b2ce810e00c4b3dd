# SPDX-License-Identifier: GPL-3.0-or-later
"""How websocat is called. A process carries one target; its server knows neither paths nor certificates: nginx stands
before it (front.py).

It has no way to read a URL but from its arguments, so that the path is seen by whoever has an account on the gateway.
"""

from __future__ import annotations

from ..addresses import bracketed
from ..state import Forwarding, TransportClient, TransportTarget
from .command import ANCHORS, Command

RETRY = 1000  # milliseconds from one attempt to reach the server to the next; its own 20 keep a processor busy
PING = 30  # seconds
MISSED = 2.5  # after how many intervals without a pong a connection is dead


def location(path: str, protocol: str, target: str) -> str:
    """Return the path of a URL that leads to a target; `target` is "address:port"."""
    address, _, port = target.rpartition(":")
    return f"/{path}/{protocol}/{address.strip('[]')}/{port}"


def client(program: str, end: TransportClient, forwarding: Forwarding) -> Command:
    """Return the call of websocat's client for one of the forwardings."""
    protocol, url = forwarding.protocol, end.servers[end.server]
    where = location(end.path, protocol, forwarding.target)
    options = [*_options(protocol, end.ping), *(() if end.verify else ("--insecure",))]
    remote, host = f"{url}{where}", url.partition("://")[2]
    if end.server_name or host.startswith("["):
        # wss:// wants a certificate for the URL's host, and finds none that is for an IPv6 address.
        name = end.server_name or host.rpartition(":")[0].strip("[]")
        options += [f"--tls-domain={name}", f"--ws-c-uri=ws://{bracketed(name)}{where}"]
        remote = f"ws-c:ssl-connect:tcp:{host}"
    if protocol == "udp":
        # The port stays ours while the server is away. A TCP connection ends with the WebSocket that carried it.
        options.append(f"--autoreconnect-delay-millis={RETRY}")
        remote = f"autoreconnect:{remote}"
    environment = ((ANCHORS, end.ca),) if end.ca else ()
    return Command((program, *options, f"{protocol}-l:127.0.0.1:{forwarding.port.port}", remote), environment)


def server(program: str, target: TransportTarget, socket: str) -> Command:
    """Return the call of websocat's server for one of the targets; nginx reaches it by a Unix socket."""
    options = [*_options(target.protocol, PING), "--unlink"]
    return Command((program, *options, f"l-ws-unix:{socket}", f"{target.protocol}:{target.address}"))


def _options(protocol: str, ping: int) -> list[str]:
    """Return what both ends have.

    Binary messages: one is one datagram. A socket for UDP would stay for ever after its WebSocket's end without
    --exit-on-eof; with it, a TCP connection's end is lost now and then, and its sockets stay (measured).
    """
    options = ["--binary", *(("--exit-on-eof",) if protocol == "udp" else ())]
    if ping:
        options += [f"--ping-interval={ping}", f"--ping-timeout={round(ping * MISSED)}"]
    return options
