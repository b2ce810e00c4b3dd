# SPDX-License-Identifier: GPL-3.0-or-later
"""The switches of the DNS guard and of the hardening: what operators write, and the mistakes that they make in it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT, changed
from splitway.topology import TopologyError, parse
from splitway.topology.model import DnsGuard, Hardening, OpenPort

GUARD, HARDENING = "splitway_dns_guard", "splitway_hardening"
PORT = 'is not a port of the gateway (like 22, "tcp/22" or "udp/6000-6010")'
DROP = "what a foreign DROP leads to (fail or warn or ignore)"


def test_what_is_on_where_nothing_is_said() -> None:
    topology = parse(RIGHT)
    assert topology.dns_guard == DnsGuard(
        redirect=True, canary=True, filter_https=True, refuse_dot=False, refuse_doh=False
    )
    assert topology.hardening == Hardening(
        client_isolation=False, gateway_ports=(), reach_clients=False, forward_others="auto", foreign_drop="fail"
    )


def test_each_switch_is_one_alone() -> None:
    topology = parse(changed((GUARD, {"refuse_dot": True, "canary": "no"}), (HARDENING, {"client_isolation": True})))
    assert topology.dns_guard == DnsGuard(refuse_dot=True, canary=False)
    assert topology.hardening == Hardening(client_isolation=True)


@pytest.mark.parametrize(
    ("written", "ports"),
    [
        ([22], (OpenPort("tcp", 22, 22), OpenPort("udp", 22, 22))),
        (["tcp/22", "udp/6000-6010"], (OpenPort("tcp", 22, 22), OpenPort("udp", 6000, 6010))),
        (["123"], (OpenPort("tcp", 123, 123), OpenPort("udp", 123, 123))),
        ([], ()),
        ("all", None),
    ],
)
def test_ports_of_the_gateway(written: Any, ports: Any) -> None:
    assert parse(changed((HARDENING, {"gateway_ports": written}))).hardening.gateway_ports == ports


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (GUARD, {"redirects": True}, f'{GUARD}.redirects: unknown key; did you mean "redirect"?'),
        (GUARD, {"redirect": "maybe"}, f'{GUARD}.redirect: "maybe" is not a boolean (true or false)'),
        (GUARD, True, f"{GUARD}: true is not a mapping"),
        (HARDENING, {"gateway_ports": 22}, f"{HARDENING}.gateway_ports: 22 is not a list"),
        (HARDENING, {"gateway_ports": ["ssh"]}, f'{HARDENING}.gateway_ports[0]: "ssh" {PORT}'),
        (HARDENING, {"gateway_ports": [True]}, f"{HARDENING}.gateway_ports[0]: true {PORT}"),
        (HARDENING, {"gateway_ports": [0]}, f'{HARDENING}.gateway_ports[0]: "0" is not a port (1-65535)'),
        (
            HARDENING,
            {"gateway_ports": ["tcp/10-9"]},
            f'{HARDENING}.gateway_ports[0]: "tcp/10-9" is not a range of ports: 9 is less than 10',
        ),
        (
            HARDENING,
            {"forward_others": True},
            f"{HARDENING}.forward_others: true is not what is done with others' packets (auto or allow or refuse)",
        ),
        (
            HARDENING,
            {"foreign_drop": "fial"},
            f'{HARDENING}.foreign_drop: "fial" is not {DROP}; did you mean "fail"?',
        ),
    ],
)
def test_what_is_wrong_is_named(key: str, value: Any, error: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse(changed((key, value)))
    assert caught.value.errors == (error,)
