# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway says of its transports."""

from __future__ import annotations

import json
from typing import Any

import yaml
from labkit import playbooks
from labkit.hosts import ROOT, host
from labkit.playbooks import Run, playbook_succeeds

from autovpnkit.browsing import PASSWORD

INVENTORY = ROOT / "inventories" / "autovpn"


def site() -> Run:
    """Runs site.yml."""
    return playbook_succeeds("site.yml", inventory=INVENTORY)


def upstream(name: str) -> dict[str, Any]:
    """Returns what the agent says of an upstream."""
    status = json.loads(host("gw").check_output("splitway status --json"))
    return next(item for item in status["upstreams"] if item["name"] == name)


def websocket(name: str) -> dict[str, Any]:
    """Returns what the agent says of an upstream's WebSocket."""
    status = json.loads(host("gw").check_output("splitway status --json"))
    return next(item for item in status["transports"] if item["name"] == name)


def from_loopback(exit_: str) -> bool:
    """Returns whether an exit's WireGuard hears the gateway through its own loopback: from a WebSocket's server."""
    return "127.0.0.1:" in host(exit_).check_output("wg show wg-exit endpoints")


def private_keys() -> list[str]:
    """Returns what nobody is to read: WireGuard's keys and the proxies' password."""
    return [*playbooks.secrets(), PASSWORD]


def path() -> str:
    """Returns the WebSocket's path."""
    variables = yaml.safe_load((INVENTORY / "group_vars" / "all" / "transports.yml").read_text(encoding="utf-8"))
    return str(variables["autovpn_path"])
