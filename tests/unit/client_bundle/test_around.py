# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into a tunnel that travels in a connection to the gateway: everything but that connection."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.client_bundle.around import everything_but

ADDRESSES = st.ip_addresses().filter(lambda address: not address.is_loopback)


@given(own=ADDRESSES, other=ADDRESSES)
def test_every_address_but_the_gateways_goes_into_the_tunnel(own, other) -> None:
    networks = [ip_network(text) for text in everything_but(str(own))]

    def inside(address) -> bool:
        return any(address.version == network.version and address in network for network in networks)

    assert not inside(own)
    assert inside(other) == (other != own)
    for neighbour in (own - 1, own + 1) if 0 < int(own) < 2**own.max_prefixlen - 1 else ():
        assert inside(neighbour) or neighbour.is_loopback
    # WireGuard's own packets go to the loopback.
    assert not inside(ip_address("127.0.0.1"))


@pytest.mark.parametrize("own", ["203.0.113.7", "2001:db8::7", "10.0.0.1", "0.0.0.1", "255.255.255.254"])
def test_none_is_a_default_route(own: str) -> None:
    # A /0 makes WireGuard on Windows block all that is not in the tunnel, the connection that carries it included.
    networks = [ip_network(text) for text in everything_but(own)]
    assert all(network.prefixlen > 0 for network in networks)
    assert {network.version for network in networks} == {4, 6}
    for one in networks:
        assert not any(one is not other and one.version == other.version and one.overlaps(other) for other in networks)
