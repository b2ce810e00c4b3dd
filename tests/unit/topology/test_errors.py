# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes from the field: each is told by its path, its value and what is wrong, and all are told together."""

from __future__ import annotations

import datetime
import pickle
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import DELETE, changed, key
from splitway.topology import TopologyError, parse
from splitway.topology.keys import public_key


def errors_of(variables: Any) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        parse(variables)
    assert str(caught.value) == "\n".join(caught.value.errors)
    return caught.value.errors


SERVER = "splitway_server"
US = "splitway_upstreams[0]"
GOOGLE = "splitway_lists.google"
RULES = "splitway_policies.family.rules"
FILES = "splitway_client_files"
ALICE, BOB = "splitway_clients[0]", "splitway_clients[1]"
NAME_RULE = "(letters, digits, '-', '_' and '.', at most 63; the first no '-' or '.')"
INTERFACE_RULE = "(letters, digits, '-', '_', '.' and '=', at most 15)"
NETWORKS = "(10.8.0.0/24, fdcc:ad94:bacf:61a4::/64)"


class Undefined:
    """What Jinja gives for a variable that is not there: touching it raises."""

    _undefined_name = "vault_wg0_key"

    def __str__(self) -> str:
        raise RuntimeError("undefined")

    __eq__ = __hash__ = __bool__ = __iter__ = __len__ = __repr__ = __str__  # type: ignore[assignment]


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        # The shape
        (SERVER, DELETE, "splitway_server: is required"),
        (SERVER, {}, "splitway_server.addresses: is required"),
        (SERVER, "wg0", 'splitway_server: "wg0" is not a mapping'),
        (f"{SERVER}.adresses", [], 'splitway_server.adresses: unknown key; did you mean "addresses"?'),
        (f"{SERVER}.colour", "red", "splitway_server.colour: unknown key"),
        ("splitway_client", [], "splitway_client: unknown variable; did you mean splitway_clients?"),
        ("splitway_upstreams", "us", 'splitway_upstreams: "us" is not a list'),
        ("splitway_clients[2]", None, "splitway_clients[2]: null is not a mapping"),
        ("splitway_lists", "google", 'splitway_lists: "google" is not a mapping'),
        (f"{GOOGLE}.domains", "google.com", f'{GOOGLE}.domains: "google.com" is not a list'),
        (f"{GOOGLE}.domains[3]", None, f"{GOOGLE}.domains[3]: null is not a domain name"),
        (f"{GOOGLE}.domains[2]", {"a": 1}, f"{GOOGLE}.domains[2]: a mapping is not a domain name"),
        (f"{ALICE}.name", DELETE, f"{ALICE}.name: is required"),
        (f"{ALICE}.addresses", [], f"{ALICE}.addresses: is empty"),
        (f"{ALICE}.priority", 0, f"{ALICE}.priority: 0 is not a priority (1-9)"),
        (f"{ALICE}.addresses", None, f"{ALICE}.addresses: is required"),
        (f"{US}.public_key", DELETE, f"{US}.public_key: is required"),
        (f"{US}.allowed_ips", [], f"{US}.allowed_ips: is empty"),
        # What YAML and Jinja make of it
        (f"{ALICE}.name", 123, f"{ALICE}.name: 123 is not a name: YAML reads it as a number, put it in quotes"),
        (f"{ALICE}.name", False, f"{ALICE}.name: false is not a name: YAML reads it as a boolean, put it in quotes"),
        (
            f"{ALICE}.name",
            datetime.date(2026, 11, 1),
            f"{ALICE}.name: a date is of no use here; is it text that wants quotes?",
        ),
        (
            f"{SERVER}.private_key",
            Undefined(),
            f'{SERVER}.private_key: is undefined: there is no variable "vault_wg0_key"',
        ),
        (
            f"{GOOGLE}.domains[1]",
            Undefined(),
            f'{GOOGLE}.domains[1]: is undefined: there is no variable "vault_wg0_key"',
        ),
        (f"{SERVER}.nat", "perhaps", f'{SERVER}.nat: "perhaps" is not a boolean (true or false)'),
        (f"{SERVER}.nat", 1, f"{SERVER}.nat: 1 is not a boolean (true or false)"),
        # Names
        (f"{ALICE}.name", "../alice", f'{ALICE}.name: "../alice" is not a name {NAME_RULE}'),
        (f"{ALICE}.name", ".", f'{ALICE}.name: "." is not a name {NAME_RULE}'),
        (f"{ALICE}.name", "-rf", f'{ALICE}.name: "-rf" is not a name {NAME_RULE}'),
        (f"{ALICE}.name", "alice\n", f'{ALICE}.name: "alice\\n" is not a name {NAME_RULE}'),
        (f"{ALICE}.name", "a" * 64, f'{ALICE}.name: "{"a" * 64}" is not a name {NAME_RULE}'),
        (f"{BOB}.name", "Alice", f'{BOB}.name: "Alice" is already the name of {ALICE}'),
        (
            "splitway_upstreams[2]",
            {"name": "Direct", "endpoint": "a:1", "public_key": key("x")},
            'splitway_upstreams[2].name: "Direct" is an egress of its own, no upstream can have that name',
        ),
        (
            "splitway_upstreams[2]",
            {"name": "US", "endpoint": "a:1", "public_key": key("x")},
            'splitway_upstreams[2].name: "US" is already the name of splitway_upstreams[0]',
        ),
        (
            "splitway_lists.Google",
            {},
            'splitway_lists.Google: "Google" differs only in upper and lower case from splitway_lists.google',
        ),
        ("splitway_lists.my list", {}, f'splitway_lists["my list"]: "my list" is not a name {NAME_RULE}'),
        (f"{SERVER}.interface", "wg0/1", f'{SERVER}.interface: "wg0/1" is not an interface name {INTERFACE_RULE}'),
        (f"{SERVER}.interface", "wg+", f'{SERVER}.interface: "wg+" is not an interface name {INTERFACE_RULE}'),
        (f"{SERVER}.interface", "all", f'{SERVER}.interface: "all" is not an interface name {INTERFACE_RULE}'),
        (f"{SERVER}.interface", ".", f'{SERVER}.interface: "." is not an interface name {INTERFACE_RULE}'),
        (
            f"{SERVER}.interface",
            "a-name-too-long0",
            f'{SERVER}.interface: "a-name-too-long0" is not an interface name {INTERFACE_RULE}',
        ),
        (
            f"{SERVER}.interface",
            "wg-up-1",
            f'{SERVER}.interface: "wg-up-1" is reserved: interfaces of upstreams begin with wg-up-',
        ),
        # Numbers
        (f"{SERVER}.listen_port", True, f"{SERVER}.listen_port: true is not a port (1-65535)"),
        (f"{SERVER}.listen_port", 65536, f"{SERVER}.listen_port: 65536 is not a port (1-65535)"),
        (f"{SERVER}.listen_port", "http", f'{SERVER}.listen_port: "http" is not a port (1-65535)'),
        (f"{SERVER}.listen_port", 518.2, f"{SERVER}.listen_port: 518.2 is not a port (1-65535)"),
        (f"{SERVER}.listen_port", 1 << 70, f"{SERVER}.listen_port: a huge number is not a port (1-65535)"),
        (f"{US}.mtu", 1279, f"{US}.mtu: 1279 is not auto or an MTU for IPv6 (1280-65455)"),
        ("splitway_upstreams[1].mtu", 575, "splitway_upstreams[1].mtu: 575 is not auto or an MTU (576-65455)"),
        (
            f"{US}.persistent_keepalive",
            -1,
            f"{US}.persistent_keepalive: -1 is not a number of seconds, or 0 for none (0-65535)",
        ),
        # Keys, whose values are never shown
        (f"{SERVER}.private_key", "secret", f"{SERVER}.private_key: is not a WireGuard key"),
        (f"{SERVER}.private_key", key("a")[:-1], f"{SERVER}.private_key: is not a WireGuard key"),
        (f"{SERVER}.private_key", "A" * 42 + "B=", f"{SERVER}.private_key: is not a WireGuard key"),
        (f"{US}.preshared_key", "A" * 43 + "=", f"{US}.preshared_key: is not a WireGuard key: it is all zeros"),
        (f"{US}.preshared_key", 5, f"{US}.preshared_key: is not a WireGuard key"),
        (f"{BOB}.public_key", key("another"), f"{BOB}.public_key: does not belong to private_key"),
        (
            f"{ALICE}.public_key",
            public_key(key("server")),
            f"{ALICE}.public_key: is already the key of splitway_server",
        ),
        (f"{ALICE}.public_key", public_key(key("bob")), f"{BOB}.private_key: is already the key of {ALICE}"),
        (
            f"{US}.public_key",
            public_key(key("us")),
            f"{US}.public_key: belongs to this upstream's own private_key: give the exit's",
        ),
        # Endpoints
        (f"{US}.endpoint", "us.example.com", f'{US}.endpoint: "us.example.com" has no port: write host:port'),
        (
            f"{US}.endpoint",
            "us.example.com:0",
            f'{US}.endpoint: "us.example.com:0" is not host:port: "0" is not a port (1-65535)',
        ),
        (
            f"{US}.endpoint",
            "2001:db8::1:51820",
            f'{US}.endpoint: "2001:db8::1:51820" is not host:port: write an IPv6 address in brackets',
        ),
        (
            f"{US}.endpoint",
            "[fe80::1%eth0]:51820",
            f'{US}.endpoint: "[fe80::1%eth0]:51820" is not host:port: "fe80::1%eth0" is not an address',
        ),
        (
            f"{US}.endpoint",
            "256.1.1.1:1",
            f'{US}.endpoint: "256.1.1.1:1" is not host:port: "256.1.1.1" is not an address',
        ),
        (
            f"{US}.endpoint",
            "*.example.com:1",
            f'{US}.endpoint: "*.example.com:1" is not host:port: "*.example.com" is not the name of a host',
        ),
        (
            f"{US}.endpoint",
            51820,
            f"{US}.endpoint: 51820 is not host:port: YAML reads it as a number, put it in quotes",
        ),
        # Networks and addresses
        (
            f"{GOOGLE}.networks[0]",
            "8.8.8.8/24",
            f'{GOOGLE}.networks[0]: "8.8.8.8/24" has host bits: did you mean 8.8.8.0/24?',
        ),
        (
            f"{GOOGLE}.networks[0]",
            "2001:db8::1/32",
            f'{GOOGLE}.networks[0]: "2001:db8::1/32" has host bits: did you mean 2001:db8::/32?',
        ),
        (
            f"{GOOGLE}.networks[0]",
            "::ffff:8.8.8.0/120",
            f'{GOOGLE}.networks[0]: "::ffff:8.8.8.0/120" is an IPv4-mapped network: write 8.8.8.0/24',
        ),
        (
            f"{GOOGLE}.networks[0]",
            "8.8.8.0/33",
            f'{GOOGLE}.networks[0]: "8.8.8.0/33" is not a network: the prefix length is 0-32',
        ),
        (f"{GOOGLE}.networks[0]", "google.com", f'{GOOGLE}.networks[0]: "google.com" is not a network'),
        (
            f"{SERVER}.addresses[0]",
            "10.8.0.1",
            f'{SERVER}.addresses[0]: "10.8.0.1" has no prefix length: write it like 10.8.0.1/24',
        ),
        (
            f"{SERVER}.addresses[0]",
            "10.8.0.0/24",
            f'{SERVER}.addresses[0]: "10.8.0.0/24" is the network address of 10.8.0.0/24',
        ),
        (f"{SERVER}.addresses[2]", "10.8.0.130/25", f'{SERVER}.addresses[2]: "10.8.0.130/25" overlaps "10.8.0.1/24"'),
        (
            f"{SERVER}.addresses[2]",
            "127.0.0.1/8",
            f'{SERVER}.addresses[2]: "127.0.0.1/8" is not an address that a host can have',
        ),
        (
            f"{SERVER}.addresses[2]",
            "1.2.3.4/0",
            f'{SERVER}.addresses[2]: "1.2.3.4/0" is too wide: much of the Internet would be in it',
        ),
        (
            f"{US}.addresses[0]",
            "10.8.0.77/32",
            f'{US}.addresses[0]: "10.8.0.77/32" overlaps the server\'s network 10.8.0.0/24',
        ),
        (
            f"{ALICE}.addresses[0]",
            "10.9.0.2",
            f'{ALICE}.addresses[0]: "10.9.0.2" is in no network of {SERVER}.addresses {NETWORKS}',
        ),
        (f"{ALICE}.addresses[0]", "10.8.0.1", f'{ALICE}.addresses[0]: "10.8.0.1" is the server\'s own address'),
        (
            f"{ALICE}.addresses[0]",
            "10.8.0.255",
            f'{ALICE}.addresses[0]: "10.8.0.255" is the broadcast address of 10.8.0.0/24',
        ),
        (
            f"{ALICE}.addresses[1]",
            "fdcc:ad94:bacf:61a4::",
            (
                f'{ALICE}.addresses[1]: "fdcc:ad94:bacf:61a4::" is the routers\' anycast address of '
                "fdcc:ad94:bacf:61a4::/64"
            ),
        ),
        (
            f"{ALICE}.addresses[0]",
            "10.8.0.2/24",
            f'{ALICE}.addresses[0]: "10.8.0.2/24" is a network: did you mean 10.8.0.2/32?',
        ),
        (f"{BOB}.addresses[0]", "10.8.0.2/32", f'{BOB}.addresses[0]: "10.8.0.2" is already an address of {ALICE}'),
        # Rules and references
        (f"{RULES}[0].domain", "goo gle.com", f'{RULES}[0].domain: "goo gle.com" is not a domain name'),
        (f"{RULES}[1].list", "gogle", f'{RULES}[1].list: "gogle" is not a list; did you mean "google"?'),
        (
            f"{RULES}[1].egress",
            "Direct",
            (
                f'{RULES}[1].egress: "Direct" is not an egress (direct, block, an upstream or a group); '
                'did you mean "direct"?'
            ),
        ),
        (f"{RULES}[1].egress", DELETE, f"{RULES}[1].egress: is required"),
        (
            f"{RULES}[1].list",
            DELETE,
            (
                f"{RULES}[1]: matches nothing: a rule has at least one of "
                "domain, network, list, country, protocol, port, schedule"
            ),
        ),
        (
            "splitway_policies.family.default",
            "mars",
            'splitway_policies.family.default: "mars" is not an egress (direct, block, an upstream or a group)',
        ),
        (f"{ALICE}.policy", "famly", f'{ALICE}.policy: "famly" is not a policy; did you mean "family"?'),
        (
            "splitway_default_policy",
            "famly",
            'splitway_default_policy: "famly" is not a policy; did you mean "family"?',
        ),
        (f"{ALICE}.upstream", "us", f"{ALICE}: has a policy and upstream of its own: it can have only one"),
        (f"{BOB}.upstream", "direct", f'{BOB}.upstream: "direct" is not an upstream or a group'),
        (f"{BOB}.upstream", DELETE, f'{BOB}.rules[0].action: "proxy" needs an upstream, and the client has none'),
        (f"{BOB}.rules[0].type", "cidr", f'{BOB}.rules[0].type: "cidr" is not a type of rule (domain or ip)'),
        (
            f"{BOB}.rules[0].action",
            "prxy",
            f'{BOB}.rules[0].action: "prxy" is not an action (proxy or direct or block); did you mean "proxy"?',
        ),
        (
            f"{BOB}.rules[0].value",
            "8.8.8.8",
            f'{BOB}.rules[0].value: "8.8.8.8" is not a domain name: it is an address',
        ),
        (
            f"{BOB}.rules[1].value",
            "8.8.8.8/8",
            f'{BOB}.rules[1].value: "8.8.8.8/8" has host bits: did you mean 8.0.0.0/8?',
        ),
        (f"{BOB}.rules[1].egress", "us", f"{BOB}.rules[1].egress: unknown key"),
        # Settings
        ("splitway_backend", "nft", 'splitway_backend: "nft" is not a backend (ipset or nftables)'),
        (
            "splitway_retention",
            "soon",
            'splitway_retention: "soon" is not a time (seconds, or like "30m", "12h", "2d")',
        ),
        ("splitway_retention", "1s", 'splitway_retention: "1s" is out of range (60-2000000 seconds)'),
        ("splitway_retention", 299, "splitway_dns.max_ttl: 300 is longer than splitway_retention (299 s)"),
        (
            "splitway_dns.servers[0]",
            "dns.example.com",
            (
                'splitway_dns.servers[0]: "dns.example.com" is not a DNS server (address or address#port): '
                '"dns.example.com" is not an address'
            ),
        ),
        (
            "splitway_dns.servers[0]",
            "10.8.0.1#53",
            'splitway_dns.servers[0]: "10.8.0.1#53" is the gateway itself: it would ask itself',
        ),
        ("splitway_mark_mask", "0xff0f", 'splitway_mark_mask: "0xff0f" is not a mask of adjacent bits, like 0x3fff'),
        ("splitway_mark_mask", 7, "splitway_mark_mask: 7 has less than 4 bits"),
        ("splitway_mark_mask", 1 << 32, "splitway_mark_mask: 4294967296 is not a mask of 32 bits, like 0x3fff"),
        (
            "splitway_mark_mask",
            0x7F,
            "splitway_table_base: 100 and 2 upstreams need the numbers up to 102, splitway_mark_mask 0x7f ends at 63",
        ),
        ("splitway_table_base", 254, "splitway_table_base: 254 is one of the kernel's own tables (253-255)"),
        ("splitway_rule_priority", 32721, "splitway_rule_priority: 32721 is not a priority (1-32720)"),
        # Client files
        (FILES, "/srv/vpn", 'splitway_client_files: "/srv/vpn" is not a mapping'),
        (FILES, {"dir": "/srv/vpn"}, "splitway_client_files.dir: unknown key"),
        (
            FILES,
            {"destination": "controler"},
            (
                'splitway_client_files.destination: "controler" is not a destination (gateway or controller); '
                'did you mean "controller"?'
            ),
        ),
        (FILES, {"qr": "png"}, 'splitway_client_files.qr: "png" is not a boolean (true or false)'),
        (FILES, {"directory": " "}, 'splitway_client_files.directory: " " is not a path'),
        (
            FILES,
            {"directory": "vpn"},
            'splitway_client_files.directory: "vpn" is not a path on the gateway: it begins with / or ~/',
        ),
        (
            FILES,
            {"directory": "/etc/vpn/../"},
            (
                'splitway_client_files.directory: "/etc/vpn/../" would be closed to all but root: '
                "choose a folder further down"
            ),
        ),
    ],
)
def test_message(path: str, value: Any, error: str) -> None:
    assert errors_of(changed((path, value))) == (error,)


def test_all_errors_come_at_once() -> None:
    wrong = changed(
        (f"{SERVER}.listen_port", 0),
        (f"{US}.endpoint", "us.example.com"),
        (f"{GOOGLE}.domains[1]", "goo gle.com"),
        (f"{GOOGLE}.domains[2]", "*"),
        (f"{RULES}[2].egress", "mars"),
        (f"{ALICE}.addresses[0]", "10.8.0.3"),
        (f"{ALICE}.public_key", "short"),
        (f"{BOB}.rules[1].value", "8.8.8.8/24"),
        ("splitway_retention", "soon"),
    )
    assert [error.partition(": ")[0] for error in errors_of(wrong)] == [
        f"{SERVER}.listen_port",
        f"{US}.endpoint",
        f"{GOOGLE}.domains[1]",
        f"{GOOGLE}.domains[2]",
        f"{RULES}[2].egress",
        f"{ALICE}.public_key",
        f"{BOB}.addresses[0]",
        f"{BOB}.rules[1].value",
        "splitway_retention",
    ]


def test_one_mistake_is_told_once() -> None:
    """A wrong upstream or list is still one that rules may name."""
    wrong = changed(
        (f"{US}.endpoint", None), (f"{GOOGLE}.networks[0]", "8.8.8.8/24"), (f"{SERVER}.addresses", ["10.8/24"])
    )
    assert [error.partition(": ")[0] for error in errors_of(wrong)] == [
        f"{SERVER}.addresses[0]",
        f"{US}.endpoint",
        f"{GOOGLE}.networks[0]",
    ]


def test_numbers_too_long_to_be_printed() -> None:
    huge = 10**5000
    wrong = changed((f"{ALICE}.name", huge), (f"{SERVER}.mtu", huge), ("splitway_retention", huge))
    wrong["splitway_lists"][huge] = {}
    assert len(errors_of(wrong)) == 4


def test_a_yaml_alias_of_itself_ends() -> None:
    deepest = f"{GOOGLE}.domains" + "[0]" * 6
    assert f"{deepest}: is nested too deeply" in errors_of(changed((f"{GOOGLE}.domains", LOOP)))


def test_what_is_disabled_is_validated_all_the_same() -> None:
    wrong = changed(
        (f"{ALICE}.enabled", False),
        (f"{ALICE}.addresses[0]", "10.8.0.1"),
        (f"{BOB}.rules[0]", {"type": "domain", "value": "*", "action": "proxy", "enabled": False}),
    )
    assert [error.partition(": ")[0] for error in errors_of(wrong)] == [
        f"{ALICE}.addresses[0]",
        f"{BOB}.rules[0].value",
    ]


def test_a_key_in_the_wrong_place_is_not_shown() -> None:
    secret = key("a secret")
    for cut in (secret, secret[:-1], f"PrivateKey = {secret}", secret[1:]):
        wrong = changed(
            (f"{US}.endpoint", cut), (f"{ALICE}.name", cut), (f"{SERVER}.{cut}", 1), (f"splitway_lists.{cut}", {})
        )
        assert secret[1:-1] not in "\n".join(errors_of(wrong))


def test_the_error_survives_a_process_boundary() -> None:
    error = TopologyError("a: b", "c: d")
    assert pickle.loads(pickle.dumps(error)).errors == ("a: b", "c: d")  # noqa: S301


def test_secrets_are_in_no_representation() -> None:
    shown = repr(parse(changed()))
    secrets = [key(seed) for seed in ("server", "us", "us shared", "bob", "bob shared")]
    assert not any(secret in shown for secret in secrets)
