# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies and modes → the state: what each mode sets up, and what nobody is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import DELETE, changed
from splitway.compiler import CompileError, compile_state
from splitway.compiler.exit_proxy import compile_exit_proxies
from splitway.modes import with_mode
from splitway.ports import with_ports
from splitway.socks5.passwords import agrees, hashed
from splitway.state import Routes, State, from_data, to_data, without_keys
from splitway.topology import parse, parse_exit

HOSTILE = "p@ss: /%&?\"'\\$#ü"
WEBSOCKET = {"server": "wss://exit.example.net:443", "path": "a-secret-path-of-the-exit"}
OFFICE: dict[str, Any] = {
    "name": "office",
    "socks5": {"listen": ["10.8.0.1"], "port": "1080-1089"},
    "http": {"listen": ["127.0.0.1"]},
    "users": [{"name": "alice", "password": HOSTILE}],
    "policy": "family",
}
FAR: dict[str, Any] = {**OFFICE, "name": "far", "policy": None, "upstream": "us", "http": None}


def compiled(*changes: tuple[str, Any]) -> State:
    websocket = (("splitway_upstreams[0].websocket", WEBSOCKET), ("splitway_upstreams[0].transport", "auto"))
    return compile_state(parse(changed(*websocket, *changes)), {})


def test_combined_has_both() -> None:
    state = compiled(("splitway_proxies", [OFFICE, FAR]))
    assert state.server is not None
    assert state.proxies is not None
    assert state.marks is not None
    assert state.marks.host is not None
    office, far = state.proxies.proxies
    accounts = {account.user: account for account in state.marks.host.proxies}
    assert [account.policy for account in accounts.values()] == [office.policy, None]
    assert tuple(accounts) == state.proxies.accounts == ("splitway-proxy-1", "splitway-proxy-2")
    assert state.marks.host.policy is None
    assert {rule.action for rule in state.routes.rules if rule.iif == "lo" and rule.mark} == {"goto"}
    assert office.far is None
    assert state.transports is not None
    carried = {item.kind: item for client in state.transports.clients for item in client.forwardings}
    assert far.far == carried["http"].port
    assert far.far in accounts["splitway-proxy-2"].asks
    assert from_data(State, to_data(state)) == state
    assert compile_state(parse(changed(("splitway_proxies", []))), state.numbers).proxies is None


def test_wireguard_has_no_proxies() -> None:
    state = compiled(("splitway_proxies", [OFFICE]), ("splitway_mode", "wireguard"))
    assert state.proxies is None
    assert state.marks is not None
    assert state.marks.host is None
    assert state.server is not None


@pytest.mark.parametrize("server", [DELETE, None])
def test_proxy_has_proxies_and_their_transport_only(server: Any) -> None:
    changes = [("splitway_proxies", [FAR]), ("splitway_mode", "proxy")]
    without = [("splitway_server", DELETE), ("splitway_clients", [])] if server is DELETE else []
    state = compiled(*changes, *without)
    assert state.proxies is not None
    assert state.transports is not None
    assert (state.server, state.upstreams, state.sets, state.dns, state.marks, state.qos) == (None, (), (), None) + (
        None,
    ) * 2
    assert state.routes == Routes()
    assert state.agent is not None
    assert (state.agent.watches, state.agent.groups) == ((), ())
    assert state.numbers, "what comes back has its number"


def test_while_another_mode_is_in_force_users_stay() -> None:
    state = compiled(("splitway_proxies", [OFFICE]), ("splitway_fallback_modes", ["wireguard"]))
    fallen = with_mode(state, "wireguard")
    assert fallen.proxies is not None
    assert (fallen.proxies.proxies, fallen.proxies.accounts) == ((), ("splitway-proxy-1",))
    assert with_mode(state, None) is state


def test_clients_reach_the_port_that_the_host_chose() -> None:
    state = compiled(("splitway_proxies", [OFFICE]))
    assert state.marks is not None
    assert [port.key for port in state.marks.guard.services] == ["proxy/office/socks5"], "HTTP is on loopback only"
    moved = with_ports(state, {"proxy/office/socks5": 1083})
    assert moved.marks is not None
    assert [port.port for port in moved.marks.guard.services] == [1083]
    everything = compiled(("splitway_proxies", [OFFICE]), ("splitway_hardening", {"gateway_ports": "all"}))
    assert everything.marks is not None
    assert everything.marks.guard.services == ()


def test_a_state_has_hashes_and_shows_none() -> None:
    state = compiled(("splitway_proxies", [OFFICE]))
    assert state == compiled(("splitway_proxies", [OFFICE])), "a second run changes nothing"
    assert HOSTILE not in json.dumps(to_data(state), ensure_ascii=False)
    assert state.proxies is not None
    (user,) = state.proxies.proxies[0].users
    assert agrees(HOSTILE.encode(), user.hash)
    assert user.hash not in json.dumps(to_data(without_keys(state)))
    assert user.hash not in repr(state)


def test_a_hash_is_that_of_crypt() -> None:
    """Which squid's test and everybody else's use."""
    found = hashed(HOSTILE, "owner")
    salt = found.split("$")[2]
    assert len(salt) == 16
    assert hashed(HOSTILE, "other") != found
    assert not agrees(b"wrong", found)
    # As `openssl passwd -6 -salt saltstring` says.
    assert agrees(
        b"Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    )


def test_an_exit_offers_a_proxy_on_its_loopback_if_asked() -> None:
    websocket = {"path": "a-secret-path", "certificate": "/c.pem", "key": "/k.pem"}
    exit_ = {"addresses": ["10.64.0.1/24"], "websocket": websocket}
    assert compile_exit_proxies(parse_exit({"splitway_exit": exit_})).proxies == ()
    found = compile_exit_proxies(parse_exit({"splitway_exit": {**exit_, "websocket": {**websocket, "proxies": True}}}))
    (proxy,) = found.proxies
    assert [(item.protocol, item.addresses, item.port.port) for item in proxy.listeners] == [
        ("http", ("127.0.0.1",), 3128)
    ]
    assert proxy.public_only


def test_as_many_as_a_gateway_can_have() -> None:
    entries = [
        {"name": f"p{number}", "http": {"listen": ["127.0.0.1"], "port": 9000 + number}, "policy": "family"}
        for number in range(100)
    ]
    state = compiled(("splitway_proxies", entries[:99]))
    assert state.proxies is not None
    assert sorted(proxy.number for proxy in state.proxies.proxies) == list(range(1, 100))
    with pytest.raises(CompileError, match="splitway_proxies: 100 are more than the 99"):
        compiled(("splitway_proxies", entries))
