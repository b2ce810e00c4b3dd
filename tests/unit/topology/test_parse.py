# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators write becomes the topology they mean."""

from __future__ import annotations

from base64 import b64encode
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import DELETE, RIGHT, changed, key
from splitway.topology import parse
from splitway.topology.keys import public_key
from splitway.topology.model import (
    Client,
    ClientFolder,
    Endpoint,
    List,
    Names,
    Policy,
    Rule,
    Server,
    Topology,
    Upstream,
)


def test_the_example_of_the_documentation() -> None:
    assert parse(RIGHT) == Topology(
        server=Server(
            interface="wg0",
            listen_port=51820,
            addresses=(ip_interface("10.8.0.1/24"), ip_interface("fdcc:ad94:bacf:61a4::1/64")),
            private_key=key("server"),
            endpoint=Endpoint("vpn.example.com", 51820),
            mtu=1420,
        ),
        upstreams=(
            Upstream(
                name="us",
                endpoint=Endpoint("us.example.com", 51820),
                public_key=key("us exit"),
                allowed_ips=(ip_network("0.0.0.0/0"), ip_network("::/0")),
                addresses=(ip_interface("10.64.0.2/32"), ip_interface("fd64::2/128")),
                private_key=key("us"),
                preshared_key=key("us shared"),
                mtu=1420,
            ),
            Upstream(
                name="eu",
                endpoint=Endpoint("2001:db8::7", 443),
                public_key=key("eu exit"),
                allowed_ips=(ip_network("0.0.0.0/0"), ip_network("::/0")),
                enabled=False,
            ),
        ),
        lists=(List("google", ("google.com", "gstatic.com", "googleapis.com"), (ip_network("8.8.8.0/24"),)),),
        policies=(
            (
                "family",
                Policy(
                    (
                        Rule("direct", domains=("maps.google.com",)),
                        Rule("us", lists=("google",)),
                        Rule("eu", networks=(ip_network("91.108.4.0/22"),)),
                        Rule("block", domains=("ads.example",)),
                    )
                ),
            ),
        ),
        clients=(
            Client(
                name="alice",
                addresses=(ip_address("10.8.0.2"), ip_address("fdcc:ad94:bacf:61a4::2")),
                policy="family",
                public_key=key("alice public"),
            ),
            Client(
                name="bob",
                addresses=(ip_address("10.8.0.3"),),
                policy=Policy(
                    (Rule("us", domains=("google.com",)), Rule("direct", networks=(ip_network("8.8.8.8/32"),)))
                ),
                public_key=public_key(key("bob")),
                private_key=key("bob"),
                preshared_key=key("bob shared"),
            ),
        ),
        dns=Names(("9.9.9.9", "2620:fe::fe#53"), 300, 5000),
        retention=43200,
    )


def test_least_topology() -> None:
    topology = parse({"splitway_server": {"addresses": ["10.8.0.1/24"]}, "inventory_hostname": "gw1"})
    assert topology == Topology(Server("wg0", 51820, (ip_interface("10.8.0.1/24"),)))


def test_nothing_where_something_could_be() -> None:
    """`splitway_lists:` with all its lines commented out is null to YAML."""
    names = ("upstreams", "lists", "policies", "clients", "dns", "backend", "retention", "default_policy")
    variables = {f"splitway_{name}": None for name in names}
    topology = parse({"splitway_server": {"addresses": ["10.8.0.1/24"], "mtu": None}, **variables})
    assert topology == Topology(Server("wg0", 51820, (ip_interface("10.8.0.1/24"),)))
    empty = parse(changed(("splitway_lists.google", None), ("splitway_policies.family", {"rules": None})))
    assert empty.lists == (List("google"),)
    assert empty.policies == (("family", Policy()),)


@pytest.mark.parametrize(
    ("written", "folder"),
    [
        ({"destination": None, "directory": None, "qr": None}, ClientFolder("gateway", None, True)),
        ({"directory": "~/vpn", "qr": "no"}, ClientFolder("gateway", "~/vpn", False)),
        ({"destination": "controller", "directory": "vpn"}, ClientFolder("controller", "vpn")),
    ],
)
def test_the_folder_of_client_files(written: Any, folder: ClientFolder) -> None:
    assert parse(changed(("splitway_client_files", written))).client_files == folder


def own_policy(**client: Any) -> Any:
    rest = {"name": "carol", "addresses": ["10.8.0.9"]}
    return (
        parse(changed(("splitway_clients[2]", {**rest, **client}), ("splitway_default_policy", "family")))
        .clients[2]
        .policy
    )


@pytest.mark.parametrize(
    ("client", "policy"),
    [
        ({}, "family"),  # splitway_default_policy
        ({"policy": "family", "rules": []}, "family"),
        ({"upstream": "us"}, Policy()),  # nothing is proxied
        ({"upstream": "us", "default": "us"}, Policy((), "us")),
        ({"default": "block"}, Policy((), "block")),
        ({"rules": []}, Policy()),
        (
            {"rules": [{"list": "google", "egress": "eu"}, {"type": "domain", "value": "X.org.", "action": "block"}]},
            Policy((Rule("eu", lists=("google",)), Rule("block", domains=("x.org",)))),
        ),
    ],
)
def test_policies_of_clients(client: dict[str, Any], policy: Any) -> None:
    assert own_policy(**client) == policy


def test_no_policy_is_direct() -> None:
    assert parse(changed(("splitway_clients[0].policy", DELETE))).clients[0].policy == Policy()


def test_what_is_disabled_is_left_out_but_for_upstreams() -> None:
    topology = parse(
        changed(
            ("splitway_upstreams[0].enabled", "no"),
            ("splitway_clients[0].enabled", False),
            ("splitway_clients[1].rules[0].enabled", False),
            ("splitway_policies.family.rules[1].enabled", "false"),
        )
    )
    assert [upstream.enabled for upstream in topology.upstreams] == [False, False]
    assert [client.name for client in topology.clients] == ["bob"]
    assert topology.clients[0].policy == Policy((Rule("direct", networks=(ip_network("8.8.8.8/32"),)),))
    assert [(*rule.domains, *rule.networks)[0] for rule in topology.policies[0][1].rules] == [
        "maps.google.com",
        ip_network("91.108.4.0/22"),
        "ads.example",
    ]


def test_addresses_and_key_of_a_disabled_client_are_free_for_another() -> None:
    replacement = {"name": "alice-new", "addresses": ["10.8.0.2/32"], "public_key": key("alice public")}
    clients = parse(changed(("splitway_clients[0].enabled", False), ("splitway_clients[2]", replacement))).clients
    assert [client.name for client in clients] == ["bob", "alice-new"]


def test_repetitions_are_left_out_and_the_first_of_two_contradictions_stays_first() -> None:
    topology = parse(
        changed(
            ("splitway_lists.google.domains", ["google.com", "*.google.com", "GOOGLE.com.", "gstatic.com"]),
            ("splitway_lists.google.networks", ["8.8.8.8", "8.8.8.8/32"]),
            ("splitway_policies.family.rules[4]", {"domain": "Ads.Example", "egress": "block"}),
            ("splitway_policies.family.rules[5]", {"domain": "ads.example", "egress": "us"}),
        )
    )
    assert topology.lists[0] == List("google", ("google.com", "gstatic.com"), (ip_network("8.8.8.8/32"),))
    rules = topology.policies[0][1].rules
    assert rules[3:] == (Rule("block", domains=("ads.example",)), Rule("us", domains=("ads.example",)))


@pytest.mark.parametrize(
    ("path", "written", "attribute", "canonical"),
    [
        ("splitway_retention", 3600, "retention", 3600),
        ("splitway_retention", "3600", "retention", 3600),
        ("splitway_retention", "90m", "retention", 5400),
        ("splitway_retention", "2d", "retention", 172800),
        ("splitway_mark_mask", 0xFF00, "mark_mask", 0xFF00),
        ("splitway_mark_mask", "0xFF00", "mark_mask", 0xFF00),
        ("splitway_mark_mask", "65280", "mark_mask", 0xFF00),
        ("splitway_mark_mask", "0xfffff000", "mark_mask", 0xFFFFF000),
        ("splitway_table_base", "252", "table_base", 252),  # the upstreams' tables pass over the kernel's
        ("splitway_rule_priority", "32720", "rule_priority", 32720),
        ("splitway_backend", "nftables", "backend", "nftables"),
    ],
)
def test_settings(path: str, written: Any, attribute: str, canonical: Any) -> None:
    # 0xff00 holds 127 numbers: the base goes below.
    changes = [(path, written)] if attribute == "table_base" else [(path, written), ("splitway_table_base", 100)]
    assert getattr(parse(changed(*changes)), attribute) == canonical


@pytest.mark.parametrize(
    ("written", "endpoint"),
    [
        ("vpn.example.com", "vpn.example.com:51820"),
        ("vpn.example.com:443", "vpn.example.com:443"),
        ("VPN.Bücher.example.:443", "vpn.xn--bcher-kva.example:443"),
        ("198.51.100.7", "198.51.100.7:51820"),
        ("[2001:DB8:0::7]", "[2001:db8::7]:51820"),
        ("[2001:db8::7]:443", "[2001:db8::7]:443"),
        ("gateway", "gateway:51820"),
    ],
)
def test_endpoints(written: str, endpoint: str) -> None:
    assert str(parse(changed(("splitway_server.endpoint", written))).server.endpoint) == endpoint


def test_an_mtu_follows_the_path_unless_a_number_is_written() -> None:
    for written in ("auto", None):
        assert parse(changed(("splitway_upstreams[0].mtu", written))).upstreams[0].mtu is None
    assert parse(changed(("splitway_upstreams[0].mtu", "1300"))).upstreams[0].mtu == 1300


def test_an_upstream_of_ipv4_alone_may_have_a_small_mtu() -> None:
    changes = [("splitway_upstreams[0].addresses", ["10.64.0.2"]), ("splitway_upstreams[0].mtu", 576)]
    upstream = parse(changed(*changes)).upstreams[0]
    assert (upstream.mtu, upstream.addresses) == (576, (ip_interface("10.64.0.2/32"),))


class Tagged(str):
    """As Ansible's strings: they know where they come from, and may not be what they show."""

    __slots__ = ()

    def __str__(self) -> str:
        return "not the text"


def test_texts_of_ansible_become_plain_ones() -> None:
    variables = changed(
        ("splitway_server.interface", Tagged("wg7")),
        ("splitway_server.private_key", Tagged(key("server"))),
        ("splitway_clients[0].policy", Tagged("family")),
        ("splitway_clients[0].name", Tagged("alice")),
        ("splitway_lists.google.domains[0]", Tagged("google.com")),
        ("splitway_policies.family.rules[0].egress", Tagged("direct")),
        ("splitway_backend", Tagged("ipset")),
    )
    topology = parse(variables)
    texts = (
        topology.server.interface,
        topology.server.private_key,
        topology.clients[0].policy,
        topology.clients[0].name,
        topology.lists[0].domains[0],
        topology.policies[0][1].rules[0].egress,
        topology.backend,
    )
    assert texts == ("wg7", key("server"), "family", "alice", "google.com", "direct", "ipset")
    assert {type(text) for text in texts} == {str}


def test_public_keys_are_those_of_rfc_7748() -> None:
    # Section 5.2: the first iteration, whose scalar and point are both 9
    expected = bytes.fromhex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
    assert public_key(b64encode((9).to_bytes(32, "little")).decode()) == b64encode(expected).decode()
