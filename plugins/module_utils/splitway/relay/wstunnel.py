# SPDX-License-Identifier: GPL-3.0-or-later
"""How wstunnel is called: its client, its server, and what the server lets clients reach."""

from __future__ import annotations

import re
from ipaddress import ip_address

from ..addresses import at_port
from ..state import Forwarding, TransportClient, TransportServer, TransportTarget
from .command import ANCHORS, Command

PATH = "WSTUNNEL_HTTP_UPGRADE_PATH_PREFIX"  # read as -P is, and not for all to see
LONGEST_RETRY = "10s"  # its own five minutes would outlast a server's restart by far
PING = 30  # seconds


def client(program: str, end: TransportClient) -> Command:
    """Return the call of wstunnel's client.

    Without a path it sends the common name of its certificate, as a server that asks for one expects. With idle
    connections it listens only when it has made them, and aborts when it cannot for LONGEST_RETRY: its unit has to
    start it again and again, and nobody may wait for its ports.
    """
    arguments = [
        program,
        "client",
        "--no-color",
        "--log-lvl=INFO",
        f"--connection-min-idle={end.minimum_idle}",
        f"--connection-retry-max-backoff={LONGEST_RETRY}",
        f"--websocket-ping-frequency={end.ping}s",
        # Its own default is to believe any certificate.
        *(("--tls-verify-certificate",) if end.verify else ()),
        *((f"--tls-sni-override={end.server_name}",) if end.server_name else ()),
        *((f"--tls-certificate={end.certificate}", f"--tls-private-key={end.key}") if end.certificate else ()),
        *(f"--local-to-remote={_forward(forwarding)}" for forwarding in end.forwardings),
        end.servers[end.server],
    ]
    environment = [(PATH, end.path)] if end.path else []
    if end.ca:
        environment.append((ANCHORS, end.ca))
    return Command(tuple(arguments), tuple(environment))


def _forward(forwarding: Forwarding) -> str:
    """Return what is forwarded. UDP is kept for ever: 30 s of silence would close it otherwise."""
    protocol = forwarding.protocol
    suffix = "?timeout_sec=0" if protocol == "udp" else ""
    return f"{protocol}://127.0.0.1:{forwarding.port.port}:{forwarding.target}{suffix}"


def server(program: str, end: TransportServer, address: str, restrictions_file: str) -> Command:
    """Return the call of wstunnel's server at one of the addresses that `binds` names.

    No warnings about refused requests: they carry the request, with the right path when the target does not answer.
    """
    arguments = [
        program,
        "server",
        "--no-color",
        "--log-lvl=INFO,wstunnel::tunnel::server=error",
        f"--websocket-ping-frequency={PING}s",
        f"--restrict-config={restrictions_file}",
        f"--tls-certificate={end.certificate}",
        f"--tls-private-key={end.key}",
        *((f"--tls-client-ca-certs={end.client_ca}",) if end.client_ca else ()),
        f"wss://{at_port(address, end.port.port)}",
    ]
    return Command(tuple(arguments))


def binds(listen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses that need a server each: `::` takes IPv4, too, and a second one would find its port taken.

    That holds while net.ipv6.bindv6only is 0, as it is by default.
    """
    if "::" not in listen:
        return listen
    return ("::",)


def restrictions(end: TransportServer) -> str:
    """Return the file for --restrict-config: with the path, the targets; everything else is refused.

    With certificates of clients the server wants the path to be the certificate's common name: it may be any then.
    """
    match = f'!PathPrefix "^{_pattern(end.path)}$"' if end.path else "!Any"
    allowed = "".join(map(_allowed, end.targets))
    return f"""\
# Made by splitway
restrictions:
  - name: splitway
    match:
      - {match}
    allow:
{allowed}"""


def _pattern(path: str) -> str:
    """Return a path as a regular expression, within a string of YAML."""
    return re.sub(r"[^A-Za-z0-9_~-]", lambda found: f"[{found[0]}]", path)


def _allowed(target: TransportTarget) -> str:
    host, _, port = target.address.rpartition(":")
    address = ip_address(host.strip("[]"))
    return f"""\
      - !Tunnel
        protocol: [{target.protocol.capitalize()}]
        port: ["{port}"]
        host: "^$"
        cidr: ["{address}/{address.max_prefixlen}"]
"""
