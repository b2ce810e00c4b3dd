# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up topologies of any size, as an operator would write them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any


def key(seed: str) -> str:
    """Return a WireGuard key that is always the same for a seed."""
    return base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()


def address(network: str, index: int) -> str:
    """Return the client address number `index` of 10.8.0.0/14 or of the fd08::/64."""
    if network == "v6":
        return f"fd08::{index:x}"
    return f"10.{8 + index // 65536}.{index // 256 % 256}.{index % 256}"


def network(index: int) -> str:
    """Return the network number `index` of a list: 65,536 of them in 100.64.0.0/10, none touching another."""
    return f"100.{64 + index // 1024 % 64}.{index // 4 % 256}.{index % 4 * 64}/27"


def variables(
    clients: int, policies: int, upstreams: int, lists: int, domains: int, networks: int = 2000
) -> dict[str, Any]:
    """Return inventory variables: each policy names eight lists and some names and networks of its own.

    `domains` and `networks` are those of all lists together.
    """
    return {
        "splitway_server": {
            "interface": "wg0",
            "listen_port": 51820,
            "addresses": ["10.8.0.1/14", "fd08::1/64"],
            "private_key": key("server"),
            "endpoint": "vpn.example.net",
        },
        "splitway_dns": {"servers": ["198.51.100.53"]},
        "splitway_upstreams": [
            {
                "name": f"up{number}",
                "endpoint": f"198.51.100.{number % 250 + 1}:51820",
                "public_key": key(f"exit {number}"),
                "private_key": key(f"upstream {number}"),
                "addresses": [f"172.20.{number}.2/32", f"fd20:{number:x}::2/128"],
            }
            for number in range(upstreams)
        ],
        "splitway_lists": {
            f"list{number}": {
                "domains": [f"name{index}.list{number}.example" for index in range(domains // lists)],
                "networks": [network(number * (networks // lists) + index) for index in range(networks // lists)],
            }
            for number in range(lists)
        },
        "splitway_policies": {
            f"policy{number}": {
                "rules": [
                    {"domain": f"direct{number}.example", "egress": "direct"},
                    {"network": f"192.0.{number % 256}.0/24", "egress": "block"},
                    *(
                        {"list": f"list{(number + step) % lists}", "egress": f"up{(number + step) % upstreams}"}
                        for step in range(8)
                    ),
                ],
                "default": "direct" if number % 2 else f"up{number % upstreams}",
            }
            for number in range(policies)
        },
        "splitway_clients": [
            {
                "name": f"client{index}",
                "addresses": [address("v4", index + 2), address("v6", index + 2)],
                "public_key": key(f"client {index}"),
                "policy": f"policy{index % policies}",
            }
            for index in range(clients)
        ],
    }
