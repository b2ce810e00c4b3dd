# SPDX-License-Identifier: GPL-3.0-or-later
"""An exit's variables: what they mean, and each mistake with its path, before the exit is touched."""

from __future__ import annotations

import copy
import re
from ipaddress import ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.topology.samples import DELETE, key, place
from ansible_collections.splitway.gateway.tests.unit.topology.test_fuzz import SCALARS, VALUES, paths
from splitway.topology import TopologyError, parse_exit
from splitway.topology.keys import public_key
from splitway.topology.model import ExitGateway, ExitNode

RIGHT: dict[str, Any] = {
    "splitway_exit": {
        "interface": "wg-exit",
        "listen_port": 443,
        "addresses": ["10.64.0.1/24", "fd64::1/64"],
        "private_key": key("exit"),
        "mtu": 1320,
        "gateways": [
            {
                "name": "home",
                "public_key": key("home"),
                "preshared_key": key("home shared"),
                "addresses": ["10.64.0.2/32", "FD64::2", "10.8.0.0/24"],
            },
            {"name": "office", "public_key": key("office"), "addresses": ["10.64.0.3/32", "10.8.0.128/25"]},
        ],
    },
    "splitway_state": "present",
}
SECRETS = [key(seed) for seed in ("exit", "home shared")]
EXIT = "splitway_exit"
HOME, OFFICE = f"{EXIT}.gateways[0]", f"{EXIT}.gateways[1]"


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    variables = copy.deepcopy(RIGHT)
    for path, value in changes:
        place(variables, path, value)
    return variables


def errors_of(variables: Any) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        parse_exit(variables)
    return caught.value.errors


def test_what_is_written_is_what_is_meant() -> None:
    """A network behind a gateway may lie in another's: the longest prefix decides."""
    found = parse_exit(RIGHT)
    assert found == ExitNode(
        addresses=(ip_interface("10.64.0.1/24"), ip_interface("fd64::1/64")),
        interface="wg-exit",
        listen_port=443,
        private_key=key("exit"),
        mtu=1320,
        gateways=(
            ExitGateway(
                "home",
                key("home"),
                (ip_network("10.64.0.2/32"), ip_network("fd64::2/128"), ip_network("10.8.0.0/24")),
                key("home shared"),
            ),
            ExitGateway("office", key("office"), (ip_network("10.64.0.3/32"), ip_network("10.8.0.128/25"))),
        ),
    )
    assert not any(secret in repr(found) for secret in SECRETS)


def test_least_exit() -> None:
    nothing = dict.fromkeys(("interface", "listen_port", "private_key", "mtu", "gateways"))
    least = ExitNode((ip_interface("10.64.0.1/24"),), "wg-exit", 51820, None, 1420, ())
    assert parse_exit({EXIT: {"addresses": ["10.64.0.1/24"]}, "splitway_server": "of a gateway"}) == least
    assert parse_exit({EXIT: {"addresses": ["10.64.0.1/24"], **nothing}, "splitway_state": "absent"}) == least


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (EXIT, DELETE, f"{EXIT}: is required"),
        (EXIT, "wg-exit", f'{EXIT}: "wg-exit" is not a mapping'),
        (EXIT, {}, f"{EXIT}.addresses: is required"),
        (f"{EXIT}.gateway", [], f'{EXIT}.gateway: unknown key; did you mean "gateways"?'),
        (f"{OFFICE}.enabled", False, f"{OFFICE}.enabled: unknown key"),
        ("splitway_stat", "absent", "splitway_stat: unknown variable; did you mean splitway_state?"),
        (
            "splitway_state",
            "absnt",
            'splitway_state: "absnt" is not a state (present or absent); did you mean "absent"?',
        ),
        # The exit's own
        (
            f"{EXIT}.interface",
            "wg/../exit",
            (
                f'{EXIT}.interface: "wg/../exit" is not an interface name '
                "(letters, digits, '-', '_', '.' and '=', at most 15)"
            ),
        ),
        (
            f"{EXIT}.interface",
            "wg=exit",
            f"{EXIT}.interface: \"wg=exit\" is of no use for an exit: systemd takes no '=' in a unit's name",
        ),
        (f"{EXIT}.listen_port", 65536, f"{EXIT}.listen_port: 65536 is not a port (1-65535)"),
        (f"{EXIT}.mtu", 1279, f"{EXIT}.mtu: 1279 is not an MTU for IPv6 (1280-65455)"),
        (f"{EXIT}.private_key", key("exit")[:-1], f"{EXIT}.private_key: is not a WireGuard key"),
        (f"{EXIT}.addresses", [], f"{EXIT}.addresses: is empty"),
        (
            f"{EXIT}.addresses[0]",
            "10.64.0.1",
            f'{EXIT}.addresses[0]: "10.64.0.1" has no prefix length: write it like 10.64.0.1/24',
        ),
        (f"{EXIT}.addresses[2]", "10.64.0.9/16", f'{EXIT}.addresses[2]: "10.64.0.9/16" overlaps "10.64.0.1/24"'),
        # Its gateways
        (f"{EXIT}.gateways", {"home": {}}, f"{EXIT}.gateways: a mapping is not a list"),
        (f"{EXIT}.gateways[2]", "home", f'{EXIT}.gateways[2]: "home" is not a mapping'),
        (f"{OFFICE}.name", "Home", f'{OFFICE}.name: "Home" is already the name of {HOME}'),
        (f"{OFFICE}.public_key", DELETE, f"{OFFICE}.public_key: is required"),
        (f"{OFFICE}.public_key", key("home"), f"{OFFICE}.public_key: is already the key of {HOME}"),
        (
            f"{OFFICE}.public_key",
            public_key(key("exit")),
            f"{OFFICE}.public_key: belongs to {EXIT}.private_key: give the gateway's",
        ),
        (f"{OFFICE}.preshared_key", "psk", f"{OFFICE}.preshared_key: is not a WireGuard key"),
        (f"{OFFICE}.addresses", DELETE, f"{OFFICE}.addresses: is required"),
        (
            f"{OFFICE}.addresses[0]",
            "10.64.0.2",
            f'{OFFICE}.addresses[0]: "10.64.0.2/32" is already an address of {HOME}',
        ),
        (f"{OFFICE}.addresses[0]", "10.64.0.1", f'{OFFICE}.addresses[0]: "10.64.0.1/32" is the exit\'s own address'),
        (
            f"{OFFICE}.addresses[0]",
            "10.64.0.255",
            f'{OFFICE}.addresses[0]: "10.64.0.255/32" is the broadcast address of 10.64.0.0/24',
        ),
        (
            f"{OFFICE}.addresses[0]",
            "10.64.0.3/24",
            (
                f'{OFFICE}.addresses[0]: "10.64.0.3/24" has host bits: did you mean 10.64.0.0/24? '
                "Or 10.64.0.3/32, the gateway's address alone?"
            ),
        ),
        (
            f"{OFFICE}.addresses[0]",
            "0.0.0.0/0",
            f'{OFFICE}.addresses[0]: "0.0.0.0/0" is too wide: much of the Internet would be in it',
        ),
        (
            f"{OFFICE}.addresses[0]",
            "fe80::3/128",
            f'{OFFICE}.addresses[0]: "fe80::3/128" is link-local: its packets cannot be forwarded',
        ),
        (
            f"{OFFICE}.addresses[0]",
            "224.0.0.0/8",
            f'{OFFICE}.addresses[0]: "224.0.0.0/8" is not an address that a host can have',
        ),
    ],
)
def test_message(path: str, value: Any, error: str) -> None:
    assert errors_of(changed((path, value))) == (error,)


def test_a_gateway_of_ipv6_needs_the_mtu_of_ipv6() -> None:
    """Its route is on the exit's interface, whatever addresses the exit itself has."""
    wrong = changed((f"{EXIT}.addresses", ["10.64.0.1/24"]), (f"{EXIT}.mtu", 1000))
    assert errors_of(wrong) == (f"{EXIT}.mtu: 1000 is not an MTU for IPv6 (1280-65455)",)


POSITIONS = [path for name, value in RIGHT.items() for path in paths(value, name)]
MAPPINGS = [path for path in POSITIONS if path.endswith(("exit", "[0]", "[1]")) and "addresses" not in path]
SPOILED = st.builds(
    lambda secret, spoil: spoil(secret),
    st.sampled_from(SECRETS),
    st.sampled_from(
        [str, lambda k: k[:-1], lambda k: f"{k}\n", lambda k: f"PresharedKey = {k}", lambda k: [k], lambda k: {k: k}]
    ),
)


@settings(max_examples=500)
@given(
    st.lists(st.tuples(st.sampled_from(POSITIONS), VALUES | SPOILED), min_size=1, max_size=3),
    st.lists(st.tuples(st.sampled_from(MAPPINGS), SCALARS, VALUES | SPOILED), max_size=1),
)
def test_whatever_is_written_is_an_exit_or_a_message(
    values: list[tuple[str, Any]], keys: list[tuple[str, Any, Any]]
) -> None:
    """Never a traceback, never a secret, neither in the right place nor in a wrong one."""
    variables = copy.deepcopy(RIGHT)
    for path, new, value in keys:
        inside: Any = variables
        for step in re.findall(r"[^.\[\]]+", path):
            inside = inside[int(step) if isinstance(inside, list) else step]
        inside[new] = value
    for path, value in values:
        try:
            place(variables, path, value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the position away
    try:
        said = repr(parse_exit(variables))
    except TopologyError as error:
        assert all(re.match(r"splitway_.+?: .", line) and line.isprintable() for line in error.errors)
        said = "\n".join(error.errors)
    # As a public key or a name of text that is right in itself a secret is what it says it is; no message shows it.
    public = re.sub(r"public_key='[^']*'", "", said)
    assert not any(secret[5:30] in public for secret in SECRETS)
