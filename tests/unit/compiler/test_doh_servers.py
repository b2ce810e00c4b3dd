# SPDX-License-Identifier: GPL-3.0-or-later
"""The resolvers that ship: what is written by hand is well formed, and of use to both who ask for it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from splitway.compiler.doh_servers import SERVERS, addresses
from splitway.topology.domains import canonical_domain


def test_names_are_domains_in_their_canonical_spelling() -> None:
    assert len(SERVERS) >= 60
    assert [name for name in SERVERS if canonical_domain(name) != name] == []


@pytest.mark.parametrize("family", [4, 6])
def test_addresses_are_public_canonical_and_there_once(family: int) -> None:
    found = addresses(family)
    assert len(found) >= 60
    assert len(set(found)) == len(found)
    for written in found:
        address = ip_address(written)
        assert (address.version, address.is_global, str(address)) == (family, True, written)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "9.9.9.9", "2606:4700:4700::1111", "2620:fe::fe"])
def test_those_that_browsers_offer_are_there(address: str) -> None:
    assert address in addresses(6 if ":" in address else 4)
