# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles for tests."""

from __future__ import annotations

from splitway.client_bundle import Bundle, Proxy, Relay
from splitway.client_files import ClientFile
from splitway.relay import Command

PRIVATE, PRESHARED, PUBLIC = ("A" * 42 + "A=", "B" * 42 + "A=", "C" * 42 + "A=")
SECRET = "pa th'\"<&>%$!^"
TUNNEL = ClientFile(
    "alice",
    ("10.8.0.2/32", "fdcc::2/128"),
    "vpn.example.com:51820",
    PRIVATE,
    PRESHARED,
    ("10.8.0.1", "fdcc::1"),
    persistent_keepalive=25,
)
RELAY = Relay(
    Command(("wstunnel", "client", "--path", SECRET, "wss://203.0.113.7:443"), (("SECRET", SECRET),)),
    "203.0.113.7",
    "10.6.2",
    "ab" * 32,
)
PROXIES = (
    Proxy("SOCKS5", "10.8.0.1:1080", True, "alice", "p<w>&'\""),
    Proxy("HTTP", "[fdcc::1]:8080", True, "alice"),
    Proxy("HTTP", "10.8.0.1:8081"),
)
FULL = Bundle("alice", "gw1", TUNNEL, RELAY, PROXIES, ("http://10.8.0.1/family.pac",))
PLAIN = Bundle("alice", "gw1", TUNNEL)
PROXY_ONLY = Bundle("alice", "gw1", proxies=PROXIES[1:])
ALL = {"full": FULL, "plain": PLAIN, "proxy only": PROXY_ONLY}
