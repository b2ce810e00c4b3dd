# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever stands in an inventory: a topology, or a message; never a traceback, never a secret."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT, changed, key, place
from splitway.topology import TopologyError, parse
from splitway.topology.endpoints import endpoint
from splitway.topology.model import Topology
from splitway.topology.networks import network

HEALTH = {
    "probes": [{"icmp": "9.9.9.9"}, {"tcp": "9.9.9.9:53"}],
    "interval": 1.5,
    "timeout": 1,
    "down": 3,
    "restart": True,
}
PATH = "a-path-that-is-a-secret"
WEBSOCKET = {
    "servers": ["wss://exit.example.net:443", "wss://[2001:db8::7]"],
    "path": PATH,
    "ca": "/etc/ssl/ca.pem",
    "server_name": "front.example.net",
    "certificate": "/etc/ssl/gw.pem",
    "key": "/etc/ssl/gw.key",
    "minimum_idle": 3,
    "ping": 20,
    "target": "127.0.0.1:51820",
    "ports": "41000-41010",
}
SERVERS_WEBSOCKET = {
    "path": PATH,
    "certificate": "/etc/ssl/c.pem",
    "key": "/etc/ssl/c.key",
    "listen": ["::"],
    "port": 443,
}
SETTINGS = {
    "splitway_server": {**RIGHT["splitway_server"], "websocket": SERVERS_WEBSOCKET},
    "splitway_programs": {"wstunnel": {"url": "https://files.example/wstunnel", "checksum": "ab" * 32}},
    "splitway_upstreams": [
        {
            **RIGHT["splitway_upstreams"][0],
            "health": HEALTH,
            "on_down": "fast",
            "transport": "auto",
            "websocket": WEBSOCKET,
        },
        {**RIGHT["splitway_upstreams"][1], "on_down": "direct"},
    ],
    "splitway_upstream_groups": [
        {"name": "fast", "mode": "latency", "members": ["us", "eu"], "hold": "1m", "margin": 20},
        {"name": "both", "mode": "balance", "members": [{"upstream": "eu", "weight": 2}], "on_down": "us"},
    ],
    "splitway_resolving": {"servers": ["9.9.9.9"], "interval": 5, "port": 443, "countries": ["nl"]},
    "splitway_agent": {"metrics": "127.0.0.1:9586", "access_log": {"days": 7}, "warm_up": True},
    "splitway_default_policy": "family",
    "splitway_backend": "nftables",
    "splitway_mark_mask": "0x3fff",
    "splitway_table_base": 100,
    "splitway_rule_priority": 5000,
    "splitway_client_files": {"destination": "gateway", "directory": "/srv/vpn", "qr": True},
    "splitway_proxies": [
        {
            "name": "home",
            "http": {"listen": ["127.0.0.1"], "port": "8080-8089"},
            "socks5": {"listen": ["127.0.0.1"]},
            "users": [{"name": "eva", "password": "p@ss word"}],
            "sources": ["10.8.0.0/24"],
            "policy": "family",
        }
    ],
    "splitway_pac": [
        {"name": "family", "policy": "family", "proxy": "home", "fail_open": True, "local": ["intern.example"]},
        {"name": "nothing", "mode": "direct"},
    ],
    "splitway_web": {
        "listen": ["10.8.0.1", "fdcc:ad94:bacf:61a4::1"],
        "port": 80,
        "https_port": "443-449",
        "certificate": "/etc/ssl/c.pem",
        "key": "/etc/ssl/c.key",
        "name": "gateway.example",
        "wpad": ["lan"],
        "directory": "/srv/pac",
    },
}


def paths(value: Any, path: str) -> Iterator[str]:
    """Yield the path of every position in a value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield from paths(item, f"{path}[{step}]")


POSITIONS = [path for name, value in {**RIGHT, **SETTINGS}.items() for path in paths(value, name)]
MAPPINGS = [
    path
    for path in POSITIONS
    if re.search(
        r"(server|websocket\]|programs|wstunnel\]|http\]|socks5\]|web|dns|client_files|agent|access_log\]|health\]|lists|policies|\[\d+\]|google\]|family\])$",
        path,
    )
]

WORDS = "us fast block family google domain ip proxy *.a.com bücher.de 10.8.0.7 10.8.0.0/24 :: fd64::2/128 12h on xn--"
TRAPS = "[::1]:5 a.com:99999 0xfffffffff wg0 wg-up-1 {{x}} \ud800 １.１ 1.1.1.1#53 # / fe80::1%lo/64 ::ffff:1.2.3.4"
NEARLY_RIGHT = st.sampled_from([*WORDS.split(), *TRAPS.split(), "a\nb", "a" * 70, "9" * 5000, key("fuzz")])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | NEARLY_RIGHT
KEYS = st.sampled_from(["name", "domain", "network", "list", "egress", "type", "value", "rules", "enabled"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | SCALARS, inner, max_size=3),
    max_leaves=6,
)


def outcome(variables: Any) -> list[str]:
    """Return the errors of some variables; each must be a line with a path."""
    try:
        assert isinstance(parse(variables), Topology)
    except TopologyError as error:
        for line in error.errors:
            assert re.match(r"splitway_\S+: .", line) or re.match(r"splitway_.*\]\S*: .", line), line
            assert line.isprintable()
        assert error.errors
        return list(error.errors)
    return []


@settings(max_examples=500)
@given(st.lists(st.tuples(st.sampled_from(POSITIONS), VALUES), min_size=1, max_size=3))
def test_any_value_in_any_position(changes: list[tuple[str, Any]]) -> None:
    variables = copy.deepcopy({**RIGHT, **SETTINGS})
    for path, value in changes:
        try:
            place(variables, path, value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the position away
    assert PATH not in "\n".join(outcome(variables))


@settings(max_examples=200)
@given(st.sampled_from(MAPPINGS), SCALARS, VALUES)
def test_any_key_in_any_mapping(path: str, new: Any, value: Any) -> None:
    variables = copy.deepcopy({**RIGHT, **SETTINGS, "splitway_dns": dict(RIGHT["splitway_dns"])})
    inside: Any = variables
    for step in re.findall(r"[^.\[\]]+", path):
        inside = inside[int(step) if isinstance(inside, list) else step]
    if isinstance(inside, dict):
        inside[new] = value
    outcome(variables)


@given(st.dictionaries(st.sampled_from(list({**RIGHT, **SETTINGS})), VALUES))
def test_any_variables(variables: dict[str, Any]) -> None:
    outcome(variables)


SECRETS = [path for path in POSITIONS if path.endswith(("[private_key]", "[preshared_key]"))]


@given(st.data())
def test_secrets_are_in_no_message(data: st.DataObject) -> None:
    """Neither those that are wrong, nor those that are right beside other mistakes."""
    kept = [key(seed) for seed in ("server", "us", "us shared", "bob", "bob shared")]
    spoiled = data.draw(st.sampled_from(kept))
    spoil = data.draw(
        st.sampled_from([lambda k: k[:-1], lambda k: k + "\n", lambda k: f" {k}", lambda k: [k], lambda k: k + k])
    )
    changes = [(data.draw(st.sampled_from(SECRETS)), spoil(spoiled))]
    changes += data.draw(st.lists(st.tuples(st.sampled_from(["splitway_server[mtu]", "splitway_lists"]), VALUES)))
    text = "\n".join(outcome(changed(*changes)))
    assert "is not a WireGuard key" in text
    assert not any(secret[5:30] in text for secret in kept)


NETWORKS = st.builds(
    lambda address, length: f"{address}/{length % (address.max_prefixlen + 1)}", st.ip_addresses(), st.integers(0, 128)
)


@given(NETWORKS)
def test_the_network_that_was_meant_is_one(written: str) -> None:
    try:
        found = network(written)
    except TopologyError as error:
        meant = re.search(r"did you mean (\S+)\?$|write (\S+)$", str(error))
        assert meant, error
        suggested = meant[1] or meant[2]
        assert str(network(suggested)) == suggested
        assert meant[2] or suggested == str(ip_network(written, strict=False))
    else:
        assert found == ip_network(written)
        assert network(str(found)) == found


@given(st.sampled_from(["A.example.", "bücher.de", "exit"]) | st.ip_addresses(), st.integers(1, 65535))
def test_endpoints_keep_their_canonical_spelling(host: Any, port: int) -> None:
    written = f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    try:
        found = endpoint(written)
    except TopologyError as error:
        assert "address" in str(error)
        return
    assert endpoint(str(found)) == found
    assert found.port == port
