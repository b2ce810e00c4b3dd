# SPDX-License-Identifier: GPL-3.0-or-later
"""Two ends of a WebSocket, as the compiler makes them."""

from __future__ import annotations

from splitway.state import Forwarding, PortRange, TransportClient, TransportServer, TransportTarget

PATH = "K7fQ-2xWm.9tRzB4"
WIREGUARD = Forwarding("wireguard", "udp", PortRange("transport/us/wireguard", 41000, 41099), "127.0.0.1:51820")
SOCKS = Forwarding("socks5", "tcp", PortRange("transport/us/socks5", 41000, 41099, chosen=41001), "[::1]:1080")

CLIENT = TransportClient("us", "wg-up-1", "wstunnel", ("wss://exit.example.net:443",), PATH, (WIREGUARD, SOCKS))
SERVER = TransportServer(
    name="exit",
    program="wstunnel",
    listen=("0.0.0.0", "::"),  # noqa: S104
    port=PortRange("transport/server", 443, 453),
    path=PATH,
    certificate="/etc/ssl/exit.pem",
    key="/etc/ssl/exit.key",
    targets=(TransportTarget("udp", "127.0.0.1:51820"), TransportTarget("tcp", "[::1]:1080")),
)
