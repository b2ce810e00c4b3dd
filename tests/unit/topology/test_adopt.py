# SPDX-License-Identifier: GPL-3.0-or-later
"""A clients' interface that is somebody else's: what operators write, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import DELETE, changed, key
from splitway.client_files import client_files
from splitway.compiler import compile_state
from splitway.explain.subject import find_client
from splitway.foreign.passages import passages
from splitway.reconcile import wireguard
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.flows.sources import policies_of_sources
from splitway.reconcile.wireguard.live import Current, Live, LivePeer
from splitway.state import Device, State, devices_of, from_data, to_data
from splitway.topology import TopologyError, parse

NETWORKS = ("10.8.0.0/24", "fdcc:ad94:bacf:61a4::/64")
ADOPTED: tuple[tuple[str, Any], ...] = (
    ("splitway_server.adopt", True),
    ("splitway_server.private_key", DELETE),
    ("splitway_server.mtu", DELETE),
    ("splitway_clients[1].private_key", DELETE),
    ("splitway_clients[1].preshared_key", DELETE),
)


def compiled(*changes: tuple[str, Any]) -> State:
    return compile_state(parse(changed(*ADOPTED, *changes)), {})


def server_of(state: State) -> Device:
    assert state.server is not None
    return state.server


def policy_of(state: State, source: str) -> tuple[int, ...]:
    assert state.marks is not None
    return policies_of_sources(state.marks)(6 if ":" in source else 4, source)


def test_nothing_of_it_is_ours_and_its_clients_are_known() -> None:
    state = compiled(("splitway_clients[1].rate", {"down": "5mbit"}), ("splitway_host_policy", "family"))
    server = server_of(state)
    assert (server.adopted, server.private_key, server.mtu, server.mark) == (True, None, None, None)
    assert [(peer.name, peer.allowed_ips[0]) for peer in server.peers] == [
        ("alice", "10.8.0.2/32"),
        ("bob", "10.8.0.3/32"),
    ]
    assert server.interface not in {device.interface for device in devices_of(state)}
    assert state.qos is not None
    assert state.qos.adopted
    assert from_data(State, to_data(state)) == state
    assert client_files(parse(changed(*ADOPTED))) == (), "their files are their manager's, though we know an endpoint"


def test_the_way_back_to_clients_does_not_depend_on_how_its_manager_validates_sources() -> None:
    ways = [rule.destination for rule in compiled().routes.rules if rule.action == "goto" and rule.destination]
    assert tuple(ways) == NETWORKS


def test_who_is_in_no_list_is_refused_unless_the_operator_says_what_he_gets() -> None:
    stranger = "10.8.0.99"
    assert policy_of(compiled(), stranger) == ()
    state = compiled(("splitway_server.unknown_clients", "family"))
    assert policy_of(state, stranger) == policy_of(state, "10.8.0.2")
    assert policy_of(state, "fdcc:ad94:bacf:61a4::99") == policy_of(state, "10.8.0.2")
    assert policy_of(state, "10.9.0.1") == ()
    direct = compiled(("splitway_server.unknown_clients", "direct"))
    (number,) = policy_of(direct, stranger)
    assert direct.marks is not None
    assert number not in direct.marks.v4.clients.values()
    (policy,) = (policy for policy in direct.marks.v4.policies if policy.number == number)
    assert (policy.rules, policy.default) == ((), 0)
    assert find_client(direct, stranger).policy(direct.marks, 4) == number


def test_a_disabled_client_is_no_unknown_one() -> None:
    """It may be a peer still: only its manager can take it out."""
    for unknown in ("block", "direct", "family"):
        state = compiled(("splitway_server.unknown_clients", unknown), ("splitway_clients[1].enabled", False))
        assert policy_of(state, "10.8.0.3") == (), "nothing that comes from there is classified, wherever it goes"
        assert "bob" in {peer.name for peer in server_of(state).peers}, "a run has nothing to remark about his peer"
    given = {"name": "carol", "addresses": ["10.8.0.3"], "policy": "family"}
    again = compiled(("splitway_clients[1].enabled", False), ("splitway_clients[2]", given))
    assert policy_of(again, "10.8.0.3") == policy_of(again, "10.8.0.2"), "its address is another's now"


WRONG: dict[str, tuple[tuple[tuple[str, Any], ...], str]] = {
    "a key": (
        (*ADOPTED, ("splitway_server.private_key", key("server"))),
        "splitway_server.private_key: is for whoever manages the interface to say: it is adopted",
    ),
    "an mtu": ((*ADOPTED, ("splitway_server.mtu", 1400)), "splitway_server.mtu: is for whoever manages the interface"),
    "a client's key": (
        (*ADOPTED, ("splitway_clients[1].private_key", key("bob"))),
        "splitway_clients[1].private_key: is for whoever manages the interface: splitway_server.adopt is true",
    ),
    "a client's preshared key": (
        (*ADOPTED, ("splitway_clients[1].preshared_key", key("x"))),
        "splitway_clients[1].preshared_key: is for whoever manages the interface",
    ),
    "a verdict without adoption": (
        (("splitway_server.unknown_clients", "direct"),),
        "splitway_server.unknown_clients: needs adopt: true",
    ),
    "a policy that is none": (
        (*ADOPTED, ("splitway_server.unknown_clients", "famly")),
        'splitway_server.unknown_clients: "famly" is not a policy; did you mean "family"?',
    ),
    "a word that is none": ((("splitway_server.adopt", "perhaps"),), 'splitway_server.adopt: "perhaps" is'),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    changes, message = WRONG[case]
    with pytest.raises(TopologyError) as raised:
        parse(changed(*changes))
    assert message in str(raised.value)


def live(kind: str = "wireguard", **about: Any) -> Current:
    found = {"addresses": ("10.8.0.1/24", "fdcc:ad94:bacf:61a4::1/64"), "listen_port": 51820, **about}
    return Current(wireguard.SERVER, {"wg0": Live("wg0", "", kind=kind, **found)})


def peer(name: str, *allowed: str) -> LivePeer:
    return LivePeer(key(name), None, None, allowed, 0)


def test_what_is_not_as_the_topology_says_is_told_and_not_changed() -> None:
    server = server_of(compiled())
    alice = peer("alice public", "10.8.0.2/32", "fdcc:ad94:bacf:61a4::2/128")
    other = peer("another", "10.8.0.2/32")
    stranger = peer("stranger", "10.8.0.9/32")

    def said(current: Current, *, refused: bool = True) -> tuple[str, ...]:
        assert wireguard.plan((server,), current) == ()
        return wireguard.remarks(server, current, unknown_are_refused=refused)

    assert said(live(peers={alice.public_key: alice})) == ()
    (absent,) = said(Current(wireguard.SERVER))
    assert "wg0 is not there" in absent
    (port,) = said(live(listen_port=51999))
    assert "51999" in port
    (address,) = said(live(addresses=("10.9.0.1/24", "fdcc:ad94:bacf:61a4::1/64")))
    assert "has not the address 10.8.0.1/24" in address
    (exchanged,) = said(live(peers={other.public_key: other}))
    assert "alice" in exchanged
    (unknown,) = said(live(peers={alice.public_key: alice, stranger.public_key: stranger}))
    assert "10.8.0.9/32" in unknown
    assert said(live(peers={stranger.public_key: stranger}), refused=False) == ()
    with pytest.raises(ReconcileError, match="wg0 is no WireGuard interface"):
        wireguard.plan((server,), live("bridge"))


def test_others_rules_are_walked_with_a_client_though_none_is_listed() -> None:
    def sources(*changes: tuple[str, Any]) -> set[str]:
        found = passages(compiled(("splitway_clients", []), *changes), {4: "eth0", 6: "eth0"})
        return {packet.source for packet in found if packet.purpose == "from clients to eth0"}

    assert sources(("splitway_server.unknown_clients", "family")) == {
        "10.8.0.254",
        "fdcc:ad94:bacf:61a4:ffff:ffff:ffff:fffe",
    }
    assert sources() == set(), "nobody gets through anyway"
