# SPDX-License-Identifier: GPL-3.0-or-later
"""From one mode to another: each sets up its own parts, and leaves nothing of the others."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from enterable import system
from namespaces import NamespaceSystem, Network, run_here
from traffic import BACKENDS

from splitway.applying import drift
from splitway.compiler import compile_state
from splitway.reconcile import accounts
from splitway.state import SECTIONS, State
from splitway.store import Store
from splitway.topology import parse
from splitway.transaction import begin, bring, commit, remove_all

__all__ = ["system"]
pytestmark = [
    pytest.mark.skipif(not Path("/usr/sbin/squid").exists(), reason="squid is not installed"),
    pytest.mark.parametrize("backend", BACKENDS),
]
# The WebSocket's programs have tests of their own; the agent is no process here.
STEPS = tuple(section for section in SECTIONS if section not in ("transports", "web", "agent"))
KEY, ALICE = "3CWDiHvYvXBr6AdVvELbKUdYUNeWBM3sXrvhiY1zDAk=", "4CWDiHvYvXBr6AdVvELbKUdYUNeWBM3sXrvhiY1zDAk="


def variables(backend: str, mode: str, **more: Any) -> dict[str, Any]:
    """Return an operator's variables with a proxy of each kind."""
    login = [{"name": "alice", "password": "p@ss: /%&?\"'\\$#ü"}]
    websocket = {"server": "wss://exit.example.net:443", "path": "a-secret-path-of-the-exit"}
    by_policy = {"name": "office", "socks5": {"listen": ["10.8.0.1"], "port": "1080-1089"}, "policy": "family"}
    by_exit = {"name": "far", "http": {"listen": ["127.0.0.1"], "port": 8080}, "upstream": "us"}
    proxies = [by_exit] if mode == "proxy" else [{**by_policy, "users": login}, by_exit]
    return {
        "splitway_backend": backend,
        "splitway_mode": mode,
        "splitway_server": {"addresses": ["10.8.0.1/16", "fdcc::1/64"]},
        "splitway_upstreams": [
            {
                "name": "us",
                "endpoint": "192.0.2.9:51820",
                "public_key": KEY,
                "addresses": ["10.64.0.2/32"],
                "transport": "auto",
                "websocket": websocket,
            }
        ],
        "splitway_policies": {"family": {"rules": [{"domain": "films.example", "egress": "us"}]}},
        "splitway_clients": [{"name": "alice", "addresses": ["10.8.0.2"], "public_key": ALICE, "policy": "family"}],
        "splitway_dns": {"servers": ["192.0.2.53"]},
        "splitway_proxies": proxies,
        **more,
    }


def run(store: Store, written: dict[str, Any]) -> list[str]:
    """Run a topology as site.yml does; return what was changed."""
    begin(store, "run")
    state = compile_state(parse(written), store.generation().numbers)
    done = []
    for section in STEPS:
        wanted = getattr(state, section)
        changes = bring(store, section, wanted, backend=state.backend, transaction="run", purge=True)
        done += [f"{change.action} {change.what}" for change in changes]
    commit(store, "run", state.numbers)
    return done


def parts(system: NamespaceSystem) -> dict[str, bool]:
    """Return which parts of a gateway are there."""
    rules = "".join(run_here(*tool) for tool in (("iptables-save",), ("ip6tables-save",), ("nft", "list", "ruleset")))
    return {
        "wg0": system.interface_index("wg0") is not None,
        "tunnel": system.interface_index("wg-up-1") is not None,
        "chains": "SPLITWAY" in rules or "splitway" in rules,
        "sets": "sw4" in run_here("ipset", "list", "-n") or "@sw4" in rules or "sw4" in rules,
        "rules": "fwmark" in run_here("ip", "rule"),
        "names": bool(system.plain_units.pids("splitway-dnsmasq.service")),
        "office": bool(system.plain_units.pids("splitway-proxy-1-socks5.service")),
        "far": accounts.number(system, "splitway-proxy-2") is not None,
    }


ALL = dict.fromkeys(("wg0", "tunnel", "chains", "sets", "rules", "names", "office", "far"), True)
NONE = dict.fromkeys(ALL, False)
TUNNELS = {**ALL, "office": False, "far": False}


def test_each_mode_sets_up_its_own_parts(system: NamespaceSystem, network: Network, backend: str) -> None:
    network.connect(network.host("uplink"), "eth0", ("10.90.0.1/24", "fd90::1/64"), ("10.90.0.2/24", "fd90::2/64"))
    store = Store(system)
    for mode, there in (
        ("combined", ALL),
        ("wireguard", TUNNELS),
        ("combined", ALL),
        ("proxy", {**NONE, "far": True}),
        ("combined", ALL),
    ):
        run(store, variables(backend, mode))
        assert parts(system) == there, mode
        assert run(store, variables(backend, mode)) == [], mode
        assert not any(drift(store, store.generation(), STEPS).values())
    remove_all(store)
    assert parts(system) == NONE
    assert system.plain_units.running() == []
    assert store.generation() == State()


def test_clients_reach_the_port_that_was_free_in_the_same_run(
    system: NamespaceSystem, network: Network, backend: str
) -> None:
    network.connect(network.host("uplink"), "eth0", ("10.90.0.1/24", "fd90::1/64"), ("10.90.0.2/24", "fd90::2/64"))
    store = Store(system)
    with socket.create_server(("0.0.0.0", 1080)):  # noqa: S104
        run(store, variables(backend, "combined"))
    assert store.kept.ports.read()["proxy/office/socks5"] == 1081
    rules = "".join(run_here(*tool) for tool in (("iptables-save",), ("nft", "list", "ruleset")))
    assert "dport 1081" in rules
    assert "dport 1080 " not in rules
    assert run(store, variables(backend, "combined")) == []
