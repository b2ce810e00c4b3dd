# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_proxies` and `splitway_mode`: what they become, and what is refused."""

from __future__ import annotations

import dataclasses
import importlib
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from splitway.services import Ports
from splitway.topology import TopologyError, parse
from splitway.topology.model import Proxy, ProxyListener, ProxyUser, Topology, Websocket

from .samples import DELETE, changed

PROXIES = "splitway_proxies"
HOSTILE = "@ : / % & ? space \" ' \\ $ # ü {{ x }}"
OFFICE = {
    "name": "office",
    "socks5": {"listen": ["10.8.0.1", "fdcc:ad94:bacf:61a4::1"]},
    "http": {"listen": ["::"], "port": "8080-8090"},
    "users": [{"name": "alice@example.com", "password": HOSTILE}],
    "sources": ["192.168.0.0/16"],
    "policy": "family",
}
LOCAL = {"name": "local", "http": {"listen": ["127.0.0.1", "::1"], "port": 3128}, "policy": "family"}


@pytest.fixture(autouse=True)
def with_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the upstream us a WebSocket."""
    module = importlib.import_module("splitway.topology.parse")
    original = module.read_upstreams

    def read(*arguments: Any) -> Any:
        us, *rest = original(*arguments)
        return (dataclasses.replace(us, websocket=Websocket(("wss://exit.example:443",), "secret")), *rest)

    monkeypatch.setattr(module, "read_upstreams", read)


def parsed(*changes: tuple[str, Any]) -> Topology:
    return parse(changed(*changes))


def errors(*changes: tuple[str, Any]) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        parsed(*changes)
    return list(caught.value.errors)


def test_what_a_proxy_becomes() -> None:
    topology = parsed((PROXIES, [OFFICE, LOCAL]))
    assert topology.proxies[0] == Proxy(
        "office",
        (
            ProxyListener("socks5", (ip_address("10.8.0.1"), ip_address("fdcc:ad94:bacf:61a4::1")), Ports(1080, 1080)),
            ProxyListener("http", (ip_address("::"),), Ports(8080, 8090)),
        ),
        (ProxyUser("alice@example.com", HOSTILE),),
        (ip_network("192.168.0.0/16"),),
        "family",
    )
    assert topology.proxies[1].users == ()
    assert (topology.mode, topology.fallback_modes) == ("combined", ())
    assert HOSTILE not in repr(topology)


def test_the_mode_without_proxies_is_wireguard() -> None:
    assert parsed().mode == "wireguard"


def test_proxies_alone_need_no_server() -> None:
    far = {**LOCAL, "policy": None, "upstream": "us"}
    topology = parsed((PROXIES, [far]), ("splitway_mode", "proxy"), ("splitway_server", DELETE))
    assert topology.mode == "proxy"
    assert topology.server.addresses == ()
    assert "splitway_server: is required" in errors((PROXIES, [far]), ("splitway_server", DELETE))
    also = ("splitway_fallback_modes", ["combined"])
    wanted = errors((PROXIES, [far]), ("splitway_mode", "proxy"), also, ("splitway_server", DELETE))
    assert "splitway_server: is required" in wanted


def test_a_proxy_that_anybody_could_use_is_refused() -> None:
    for listen in ("::", "10.8.0.1", "203.0.113.5", "169.254.1.1"):
        opened = {**LOCAL, "http": {"listen": ["127.0.0.1", listen]}}
        (said,) = errors((PROXIES, [opened]))
        assert said.startswith(f"{PROXIES}[0]: anybody who reaches {listen} could use it")
        for source in ("0.0.0.0/0", "::/0", "128.0.0.0/1"):
            (said,) = errors((PROXIES, [{**opened, "sources": ["10.0.0.0/8", source]}]))
            assert said.startswith(f'{PROXIES}[0].sources[1]: "{source}" holds half the world')
        assert parsed((PROXIES, [{**opened, "sources": ["10.0.0.0/8", "fd00::/16"]}]))
        assert parsed((PROXIES, [{**opened, "users": OFFICE["users"], "sources": ["0.0.0.0/0"]}]))
        assert errors((PROXIES, [{**opened, "users": []}]))


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({**LOCAL, "name": None}, "[0].name: is required"),
        ({**LOCAL, "http": None}, "[0]: needs socks5, http, or both"),
        ({**LOCAL, "http": {}}, "[0].http.listen: is required"),
        ({**LOCAL, "http": {"listen": ["ff02::1"]}}, '[0].http.listen[0]: "ff02::1" is not an address at which'),
        ({**LOCAL, "http": {"listen": ["localhost"]}}, '[0].http.listen[0]: "localhost" is not an address'),
        ({**LOCAL, "http": {"listen": ["::1"], "port": "90-80"}}, '[0].http.port: "90-80" is not a range of ports'),
        ({**LOCAL, "http": {"listen": ["::1"], "ports": 1}}, '[0].http.ports: unknown key; did you mean "port"?'),
        ({**LOCAL, "socks": {}}, '[0].socks: unknown key; did you mean "socks5"?'),
        ({**LOCAL, "policy": "famly"}, '[0].policy: "famly" is not a policy; did you mean "family"?'),
        ({**LOCAL, "policy": None}, "[0]: needs one of the two (policy"),
        ({**LOCAL, "upstream": "us"}, "[0]: has a policy and an upstream: its connections take one way"),
        ({**LOCAL, "policy": None, "upstream": "uss"}, '[0].upstream: "uss" is not an upstream; did you mean "us"?'),
        ({**LOCAL, "policy": None, "upstream": "eu"}, '[0].upstream: "eu" has no websocket'),
        ({**LOCAL, "sources": ["10.0.0.1/8"]}, '[0].sources[0]: "10.0.0.1/8" has host bits'),
        ({**LOCAL, "users": [{"name": "a:b", "password": "x"}]}, '[0].users[0].name: "a:b" is not a user\'s name'),
        ({**LOCAL, "users": [{"name": "a"}]}, "[0].users[0].password: is required"),
        ({**LOCAL, "users": [{"name": "a", "password": ""}]}, "[0].users[0].password: is empty"),
        ({**LOCAL, "users": [{"name": "a", "password": 12345}]}, "[0].users[0].password: is not text: YAML"),
        ({**LOCAL, "users": [{"name": "a", "password": "x\ny"}]}, "[0].users[0].password: has a character that"),
        ({**LOCAL, "users": [{"name": "a", "password": "\ud800"}]}, "[0].users[0].password: has half a character"),
        ({**LOCAL, "users": [{"name": "a", "password": "ü" * 128}]}, "[0].users[0].password: has 256 bytes"),
        ({**LOCAL, "users": [{"name": "a", "password": "x"}] * 2}, '[0].users[1].name: "a" is already the name of'),
    ],
)
def test_what_is_wrong_with_a_proxy(entry: dict[str, Any], error: str) -> None:
    found = errors((PROXIES, [entry]))
    assert any(said.startswith(f"{PROXIES}{error}") for said in found), found
    assert not any("12345" in said for said in found)


def test_proxies_have_names_and_ports_of_their_own() -> None:
    other = {**LOCAL, "name": "Local", "http": {"listen": ["::"], "port": 3128}, "users": OFFICE["users"]}
    assert errors((PROXIES, [LOCAL, other])) == [
        f'{PROXIES}[1].name: "Local" is already the name of {PROXIES}[0]',
        f"{PROXIES}[1].http.port: 3128 is that of {PROXIES}[0].http already, at 127.0.0.1",
    ]
    ranges = [{**LOCAL, "name": name, "http": {"listen": ["::1"], "port": "3128-3140"}} for name in ("one", "two")]
    assert len(parsed((PROXIES, ranges)).proxies) == 2, "the host takes what is free"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ([("splitway_mode", "prox")], 'splitway_mode: "prox" is not a mode (proxy or wireguard or combined); did you'),
        ([("splitway_mode", "proxy")], 'splitway_mode: "proxy" needs splitway_proxies'),
        ([("splitway_fallback_modes", ["combined"])], 'splitway_fallback_modes[0]: "combined" needs splitway_proxies'),
        ([("splitway_fallback_modes", "proxy")], 'splitway_fallback_modes: "proxy" is not a list'),
        ([("splitway_fallback_modes", ["wireguard"])], 'splitway_fallback_modes[0]: "wireguard" is splitway_mode alr'),
        (
            [(PROXIES, [LOCAL]), ("splitway_mode", "proxy")],
            f'{PROXIES}[0].policy: splitway_mode "proxy" has no tunnels to lead to: give it an upstream',
        ),
        (
            [(PROXIES, [LOCAL]), ("splitway_fallback_modes", ["proxy"])],
            'splitway_fallback_modes[0]: "proxy" needs a proxy with an upstream',
        ),
    ],
)
def test_what_is_wrong_with_a_mode(changes: list[tuple[str, Any]], error: str) -> None:
    found = errors(*changes)
    assert any(said.startswith(error) for said in found), found
