# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that try to get round the gateway: other resolvers, DoT, DoH, addresses that are not theirs.

In the order of the file: the last test reads the capture of all that left the gateway meanwhile.
"""

from __future__ import annotations

import pytest
from guardkit.attempts import connect, forge, ping, refused_at_once
from labkit import wire
from labkit.hosts import host, wait_until
from labkit.ways import settled_ways

# The pretended Internet answers there: names, and HTTP.
ELSEWHERE = ("198.51.100.220", "2001:db8:ff::220")
YOUTUBE = {"A": ["198.51.100.30", "198.51.100.31"], "AAAA": ["2001:db8:ff::30", "2001:db8:ff::31"]}
# Well known resolvers: for the one a client's policy has a way directly, for the other through a tunnel, or none.
RESOLVERS = ("1.1.1.1", "8.8.8.8", "9.9.9.9", "2606:4700:4700::1111", "2001:4860:4860::8888")
GATEWAY, GATEWAY6 = "10.8.0.1", "fdcc:ad94:bacf:61a4::1"
ALICE, ALICE6 = "10.8.0.2", "fdcc:ad94:bacf:61a4::2"
BOB, BOB6 = "10.8.0.3", "fdcc:ad94:bacf:61a4::3"
UPLINK, UPLINK6 = "10.90.0.10", "2001:db8:113::10"
FORGED = 4999  # a port that only forged datagrams go to

pytestmark = pytest.mark.usefixtures("clients")


def test_the_other_resolver_is_there() -> None:
    """Else the attempts would prove nothing. It is asked from the gateway's own place, before the capture."""
    assert "198.51.100.30" in host("tap").check_output("dig +short A youtube.com @%s", ELSEWHERE[0])


@pytest.mark.parametrize("client", ["alice", "bob"])
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize("resolver", [*ELSEWHERE, "8.8.8.8", "2001:4860:4860::8888", "192.168.7.7"])
def test_another_resolver_is_the_gateway(captured: None, client: str, transport: str, resolver: str) -> None:
    for kind, addresses in YOUTUBE.items():
        answer = host(client).check_output(f"dig {transport} +short {kind} youtube.com @{resolver} | sort")
        assert answer.splitlines() == addresses
    canary = host(client).check_output(f"dig {transport} use-application-dns.net @{resolver}")
    assert "NXDOMAIN" in canary


def test_what_another_resolver_was_asked_takes_its_way(captured: None) -> None:
    assert settled_ways("alice", {("youtube.com", 4): "eu", ("youtube.com", 6): "eu"}) == {
        ("youtube.com", 4): "eu",
        ("youtube.com", 6): "eu",
    }


@pytest.mark.parametrize("client", ["alice", "bob"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("where", [*ELSEWHERE, "1.1.1.1", "2606:4700:4700::1111", GATEWAY])
def test_dot_and_doq_are_refused_at_once(captured: None, client: str, kind: str, where: str) -> None:
    assert refused_at_once(client, kind, where, 853)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("where", RESOLVERS)
def test_doh_by_address_is_refused_at_once(captured: None, kind: str, where: str) -> None:
    assert refused_at_once("alice", kind, where, 443)


@pytest.mark.parametrize("name", ["dns.google", "cloudflare-dns.com", "mozilla.cloudflare-dns.com", "dns.quad9.net"])
def test_doh_by_name_has_no_address(captured: None, name: str) -> None:
    for kind in ("A", "AAAA", "HTTPS"):
        assert "NXDOMAIN" in host("alice").check_output("dig %s %s", kind, name)


def test_other_sites_are_none_of_that(captured: None) -> None:
    for address in ELSEWHERE:
        connect("alice", "tcp", address, 443)  # nobody listens there: the capture tells that it was asked
        connect("alice", "udp", address, 443)


@pytest.mark.parametrize(("client", "other"), [("alice", BOB), ("alice", BOB6), ("bob", ALICE), ("bob", ALICE6)])
def test_clients_do_not_reach_each_other(captured: None, client: str, other: str) -> None:
    assert refused_at_once(client, "tcp", other, 22)
    assert not ping(client, other)


@pytest.mark.parametrize("address", [GATEWAY, GATEWAY6])
def test_only_names_and_ping_are_open_at_the_gateway(captured: None, address: str) -> None:
    assert refused_at_once("alice", "tcp", address, 22)
    assert refused_at_once("alice", "tcp", address, 9586)
    assert refused_at_once("alice", "udp", address, 123)
    wait_until(lambda: ping("alice", address), f"{address} to answer a ping")
    assert host("alice").check_output("dig +short A youtube.com @%s | sort", address).splitlines() == YOUTUBE["A"]


@pytest.mark.parametrize(
    "source", [ALICE, GATEWAY, UPLINK, "203.0.113.9", ALICE6, GATEWAY6, UPLINK6, "2001:db8::9", "fe80::1234"]
)
def test_an_address_that_is_not_ones_own_goes_nowhere(captured: None, source: str) -> None:
    """bob sends with alice's address, with the gateway's, and with nobody's."""
    for address in ELSEWHERE:
        if (":" in address) == (":" in source):
            forge("bob", source, address, FORGED)


def test_ones_own_address_goes_its_way(captured: None) -> None:
    """Else the attempts with others' would prove nothing."""
    forge("bob", BOB, ELSEWHERE[0], FORGED + 1)
    forge("bob", BOB6, ELSEWHERE[1], FORGED + 1)
    for address in ELSEWHERE:
        wait_until(lambda address=address: ping("bob", address), f"{address} to answer a ping")


def test_nothing_of_it_left_the_gateway(captured: None) -> None:
    for address in ELSEWHERE:
        own = f"dst host {address} and udp dst port {FORGED + 1}"
        wait_until(lambda own=own: wire.seen(own), f"what bob sent with his own address to {address}")
    wire.stop()
    elsewhere = " or ".join(f"dst host {address}" for address in ELSEWHERE)
    resolvers = " or ".join(f"dst host {address}" for address in RESOLVERS)
    assert wire.left(f"port 53 and ({elsewhere} or {resolvers} or dst host 192.168.7.7)") == []
    assert wire.left("dst port 853") == []
    # The upstreams' own probes are no questions, and go to other addresses.
    assert wire.left(f"({resolvers}) and dst port 443") == []
    assert wire.left(f"udp and dst port {FORGED}") == []
    inside = "10.8.0.0/24 and not dst net 10.8.0.0/24"
    assert [line for line in wire.left(f"src net {inside}") if " wg-up-" not in line] == []
    # What may leave was seen: the capture works.
    for address in ELSEWHERE:
        assert wire.left(f"dst host {address} and tcp dst port 443"), "another site"
        assert wire.left(f"dst host {address} and udp dst port 443"), "its QUIC"
