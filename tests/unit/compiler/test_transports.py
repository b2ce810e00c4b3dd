# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstreams, server and exits with a WebSocket become the section `transports`, and tunnels follow its ports."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from splitway.compiler import compile_state
from splitway.compiler.transports import compile_exit
from splitway.ports import with_ports
from splitway.state import State, Transports
from splitway.topology import model, parse
from splitway.transports import MTU, Carried, with_transports

KEY = "3CWDiHvYvXBr6AdVvELbKUdYUNeWBM3sXrvhiY1zDAk="
WEBSOCKET = {
    "servers": ["wss://exit.example:443", "wss://198.51.100.8:8443"],
    "path": "a-secret-of-both",
    "program": "websocat",
}


def compiled(**upstream: Any) -> State:
    us = {
        "name": "us",
        "endpoint": "exit.example:51821",
        "public_key": KEY,
        "addresses": ["10.64.0.2/32"],
        **upstream,
    }
    variables = {
        "splitway_server": {"addresses": ["10.8.0.1/24"]},
        "splitway_upstreams": [us],
        "splitway_programs": {"websocat": {"path": "/usr/bin/websocat"}},
        "splitway_policies": {"away": {"default": "us"}},
        "splitway_host_policy": "away",
        "splitway_dns": {"servers": ["192.0.2.53"]},
    }
    if upstream.get("transport", "udp") == "udp":
        del variables["splitway_programs"]
    return compile_state(parse(variables), {})


def test_a_websocket_leads_to_the_exits_wireguard() -> None:
    transports = compiled(transport="websocat", websocket=WEBSOCKET).transports
    assert transports is not None
    (client,) = transports.clients
    assert (client.upstream, client.interface, client.program) == ("us", "wg-up-1", "websocat")
    assert client.servers == ("wss://exit.example:443", "wss://198.51.100.8:8443")
    (forwarding,) = client.forwardings
    assert (forwarding.kind, forwarding.protocol, forwarding.target) == ("wireguard", "udp", "127.0.0.1:51821")
    assert (forwarding.port.low, forwarding.port.high) == (41000, 41099)
    assert [program.path for program in transports.programs] == ["/usr/bin/websocat"]


@pytest.mark.parametrize(
    ("transport", "chosen", "endpoint", "mtu"),
    [
        ("websocat", None, "127.0.0.1:41007", MTU),
        ("auto", None, "exit.example:51821", 1420),
        ("auto", Carried("websocket"), "127.0.0.1:41007", MTU),
        ("auto", Carried("udp"), "exit.example:51821", 1420),
    ],
)
def test_the_tunnel_follows_the_way_and_the_port(transport: str, chosen: Carried, endpoint: str, mtu: int) -> None:
    state = with_ports(compiled(transport=transport, websocket=WEBSOCKET), {"transport/us/wireguard": 41007})
    state = with_transports(state, {"us": chosen} if chosen else {})
    assert (state.upstreams[0].peers[0].endpoint, state.upstreams[0].mtu) == (endpoint, mtu)
    assert state.marks is not None
    assert state.marks.tunnel_mtus[0].mtu == mtu


def test_what_carries_a_tunnel_never_enters_one() -> None:
    with_one, without = compiled(transport="auto", websocket=WEBSOCKET), compiled()
    assert with_one.marks is not None
    assert with_one.marks.host is not None
    assert "splitway-transport" in with_one.marks.host.users
    assert without.marks is not None
    assert without.marks.host is not None
    assert "splitway-transport" not in without.marks.host.users
    assert without.transports is None


def test_an_exit_lets_its_clients_reach_wireguard_and_proxies_if_asked() -> None:
    websocket = model.WebsocketServer("a-secret-of-both", "/etc/ssl/exit.pem", "/etc/ssl/exit.key", "websocat")
    node = model.ExitNode((), listen_port=51821, websocket=websocket)
    (server,) = compile_exit(node).servers
    assert [(target.protocol, target.address) for target in server.targets] == [("udp", "127.0.0.1:51821")]
    with_proxies = dataclasses.replace(node, websocket=dataclasses.replace(websocket, proxies=True))
    (server,) = compile_exit(with_proxies).servers
    assert [target.address for target in server.targets] == ["127.0.0.1:51821", "127.0.0.1:3128"]
    assert compile_exit(model.ExitNode(())) == Transports()
