# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose rate a client has, and the numbers of classes, which stay."""

from __future__ import annotations

import ipaddress
from typing import Optional

import pytest

from splitway.compiler import CompileError, compile_state, rates
from splitway.sealed import parts_of, sealed, state_of, unsealed
from splitway.state import Qos, RatedClient, State
from splitway.topology.model import Client, Policy, Rate, Server, Topology

SLOW, SLOWER, ONLY_UP = Rate(20_000_000, 5_000_000), Rate(1_000_000, 500_000), Rate(up=3_000_000)


def client(number: int, policy: object = "plain", rate: Optional[Rate] = None) -> Client:
    addresses = (ipaddress.ip_address(f"10.8.0.{number}"), ipaddress.ip_address(f"fd08::{number}"))
    return Client(f"client{number}", addresses, policy, rate=rate)  # type: ignore[arg-type]


def compiled(*clients: Client, numbers: Optional[dict[str, int]] = None) -> State:
    networks = (ipaddress.ip_interface("10.8.0.1/24"), ipaddress.ip_interface("fd08::1/64"))
    topology = Topology(
        Server("wg0", 51820, networks),
        clients=clients,
        policies=(("plain", Policy()), ("slow", Policy(rate=SLOW))),
    )
    return compile_state(topology, numbers or {})


def test_a_clients_own_rate_counts_before_its_policys_and_as_a_whole() -> None:
    state = compiled(
        client(2), client(3, "slow"), client(4, "slow", ONLY_UP), client(5, Policy(), SLOWER), client(6, Policy())
    )
    assert state.qos is not None
    assert state.qos.interface == "wg0"
    assert {one.name: (one.down, one.up) for one in state.qos.clients} == {
        "client3": (20_000_000, 5_000_000),
        "client4": (None, 3_000_000),
        "client5": (1_000_000, 500_000),
    }
    assert state.qos.clients[0] == RatedClient("client3", 1, ("10.8.0.3", "fd08::3"), 20_000_000, 5_000_000)
    assert state_of(unsealed(sealed(parts_of(state)))) == state


def test_nothing_is_there_for_clients_without_a_rate() -> None:
    state = compiled(client(2), client(3, Policy()))
    assert state.qos is None
    assert not any(key.startswith("rate:") for key in state.numbers)


def test_a_class_keeps_its_number() -> None:
    before = compiled(client(2, "slow"), client(3, "slow"), client(4, "slow"))
    after = compiled(client(5, "slow"), client(4, rate=ONLY_UP), client(3, "slow"), numbers=before.numbers)
    numbers = {one.name: one.number for one in after.qos.clients} if after.qos else {}
    assert numbers == {"client3": 2, "client4": 3, "client5": 4}, "1 is client2's until it is removed"
    later = compiled(client(6, "slow"), client(3, "slow"), numbers=after.numbers)
    assert later.qos is not None
    assert [one.number for one in later.qos.clients] == [1, 2]


def test_a_policy_is_the_same_whatever_its_rate() -> None:
    state = compiled(client(2), client(3, "slow"))
    assert state.marks is not None
    assert len(set(state.marks.v4.clients.values())) == 1


def test_more_rates_than_classes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAXIMUM_RATED", 2)
    assert compiled(client(2, "slow"), client(3, "slow")).qos is not None
    with pytest.raises(CompileError, match="splitway_clients: 3 have a rate, 2 can"):
        compiled(client(2, "slow"), client(3, "slow"), client(4, "slow"))


def test_an_older_generation_has_no_rates() -> None:
    parts = parts_of(State())
    del parts["qos"]
    assert state_of(parts) == State()
    assert Qos("wg0") != State().qos
