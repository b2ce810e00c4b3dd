# SPDX-License-Identifier: GPL-3.0-or-later
"""A topology that is right in everything, and a way to make it wrong in one thing."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from typing import Any


def key(seed: str) -> str:
    """Return some WireGuard key, always the same for a seed."""
    return base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()


RIGHT: dict[str, Any] = {
    "splitway_server": {
        "interface": "wg0",
        "listen_port": 51820,
        "addresses": ["10.8.0.1/24", "fdcc:ad94:bacf:61a4::1/64"],
        "private_key": key("server"),
        "endpoint": "vpn.example.com",
        "mtu": 1420,
    },
    "splitway_upstreams": [
        {
            "name": "us",
            "endpoint": "us.example.com:51820",
            "public_key": key("us exit"),
            "private_key": key("us"),
            "preshared_key": key("us shared"),
            "allowed_ips": ["0.0.0.0/0", "::/0"],
            "addresses": ["10.64.0.2/32", "fd64::2/128"],
            "mtu": 1420,
            "persistent_keepalive": 25,
            "enabled": True,
        },
        {"name": "eu", "endpoint": "[2001:db8::7]:443", "public_key": key("eu exit"), "enabled": False},
    ],
    "splitway_lists": {
        "google": {"domains": ["google.com", "gstatic.com", "googleapis.com"], "networks": ["8.8.8.0/24"]}
    },
    "splitway_policies": {
        "family": {
            "rules": [
                {"domain": "maps.google.com", "egress": "direct"},
                {"list": "google", "egress": "us"},
                {"network": "91.108.4.0/22", "egress": "eu"},
                {"domain": "ads.example", "egress": "block"},
            ],
            "default": "direct",
        }
    },
    "splitway_clients": [
        {
            "name": "alice",
            "addresses": ["10.8.0.2", "fdcc:ad94:bacf:61a4::2"],
            "public_key": key("alice public"),
            "policy": "family",
        },
        {
            "name": "bob",
            "addresses": ["10.8.0.3"],
            "private_key": key("bob"),
            "preshared_key": key("bob shared"),
            "upstream": "us",
            "rules": [
                {"type": "domain", "value": "*.google.com", "action": "proxy"},
                {"type": "ip", "value": "8.8.8.8/32", "action": "direct"},
            ],
            "enabled": True,
        },
    ],
    "splitway_dns": {"servers": ["9.9.9.9", "2620:fe::fe#53"], "max_ttl": 300, "cache_size": 5000},
    "splitway_retention": "12h",
}

DELETE = object()


def place(variables: Any, path: str, value: Any) -> None:
    """Set the value at a path of messages, in place; DELETE removes it."""
    steps: list[Any] = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", path)]
    for step in steps[:-1]:
        variables = variables[step]
    if value is DELETE:
        del variables[steps[-1]]
    elif isinstance(variables, list) and steps[-1] == len(variables):
        variables.append(value)
    else:
        variables[steps[-1]] = value


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    """Return the right topology with the values at some paths changed."""
    variables = copy.deepcopy(RIGHT)
    for path, value in changes:
        place(variables, path, value)
    return variables
