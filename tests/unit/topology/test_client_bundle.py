# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_client_bundle`."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError, parse
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.model import BundleFolder

SERVER = {"addresses": ["10.8.0.1/24"]}


def bundle(value: Any) -> BundleFolder:
    return parse({"splitway_server": SERVER, "splitway_client_bundle": value}).client_bundle


def test_what_is_usual() -> None:
    assert bundle(None) == BundleFolder(destination="controller", directory=None, qr=True, passwords=False)


def test_all_of_it() -> None:
    given = {
        "destination": "gateway",
        "directory": "/srv/vpn/bundles",
        "qr": False,
        "passwords": True,
        "address": "2001:DB8::7",
        "ca": "ca.pem",
    }
    assert bundle(given) == BundleFolder("gateway", "/srv/vpn/bundles", False, True, "2001:db8::7", "ca.pem")
    assert bundle({"directory": "bundles"}).directory == "bundles"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"directry": "x"}, r'splitway_client_bundle\.directry: unknown key; did you mean "directory"'),
        ({"destination": "phone"}, r"splitway_client_bundle\.destination: "),
        ({"destination": "gateway", "directory": "bundles"}, r"directory: .*begins with / or ~/"),
        ({"destination": "gateway", "directory": "/etc"}, r"directory: .*further down"),
        ({"address": "vpn.example.com"}, r"splitway_client_bundle\.address: "),
        ({"address": "203.0.113.0/24"}, r"splitway_client_bundle\.address: "),
        ({"passwords": "perhaps"}, r"splitway_client_bundle\.passwords: "),
        ("controller", r"splitway_client_bundle: .*not a mapping"),
    ],
)
def test_what_is_wrong_is_named(value: Any, problem: str) -> None:
    with pytest.raises(TopologyError, match=problem):
        bundle(value)
