# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS guard and the hardening of a topology, as the packet filter gets them."""

from __future__ import annotations

from typing import Any

from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT, changed
from splitway.compiler import compile_state, doh_servers
from splitway.state import FAMILIES, ClientGuard, Marks, OpenPort, State
from splitway.topology import parse


def compiled(*changes: tuple[str, Any]) -> State:
    return compile_state(parse(changed(*changes) if changes else RIGHT), {})


def marks(*changes: tuple[str, Any]) -> Marks:
    section = compiled(*changes).marks
    assert section is not None
    return section


def test_what_is_on_where_nothing_is_said() -> None:
    assert marks().guard == ClientGuard(
        redirect_dns=True,
        ports=(),
        resolvers=("10.8.0.1", "fdcc:ad94:bacf:61a4::1"),
        protect_clients=True,
        others_as_before=True,
        foreign_drop="fail",
    )


def test_the_exporter_is_open_to_clients_where_it_serves_them() -> None:
    ports = {"gateway_ports": ["udp/123"]}
    assert marks(("splitway_hardening", ports)).guard.ports == (OpenPort("udp", 123, 123),)
    served = marks(("splitway_hardening", ports), ("splitway_agent", {"metrics": "10.8.0.1:9586"}))
    assert served.guard.ports == (OpenPort("tcp", 9586, 9586), OpenPort("udp", 123, 123))


def test_resolvers_over_https_are_a_set_on_ipset_and_networks_on_nftables() -> None:
    refuse = ("splitway_dns_guard", {"refuse_doh": True})
    state = compiled(refuse)
    found = {entry.name: entry.members for entry in state.sets if "HTTPS" in entry.comment}
    assert found == {f"sw{family}h": doh_servers.addresses(family) for family in FAMILIES}
    section = marks(refuse, ("splitway_backend", "nftables"))
    assert (section.guard.doh_v4, section.guard.doh_v6) == ("sw4h", "sw6h")
    assert {name: section.networks[name] for name in found} == found


def test_others_are_refused_or_let_through_when_that_is_said() -> None:
    for word, families, as_before in (("refuse", FAMILIES, False), ("allow", (), False), ("auto", (), True)):
        guard = marks(("splitway_hardening", {"forward_others": word})).guard
        assert (guard.refuse_others, guard.others_as_before) == (families, as_before)
