# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_network_namespace`: where the gateway is, if not in the network of its host."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Optional

from .errors import Report, TopologyError, shown
from .model import Names, Server, Upstream
from .reading import parse_value

PATH = "splitway_network_namespace"
_FOLDER = "/run/netns/"
_NAME = re.compile(r"(container:)?[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def read_network_namespace(
    report: Report, value: Any, server: Optional[Server], dns: Names, upstreams: tuple[Upstream, ...]
) -> str:
    """Return the namespace: "container:NAME", the name of one in /run/netns, or "" for the host's own."""
    found = None if value is None else parse_value(report, PATH, value, _namespace)
    if not found:
        return ""
    if server is not None and not server.adopt:
        report.add(
            PATH, "needs splitway_server.adopt: true: what makes the clients' interface is there, not on the host"
        )
    # The host's resolver is mostly on its loopback, and that is another one there.
    if not dns.servers and not dns.tls:
        report.add(PATH, "needs splitway_dns.servers: the host's own resolvers are not there")
    for index, upstream in enumerate(upstreams):
        if not _is_address(upstream.endpoint.host):
            report.add(
                f"splitway_upstreams[{index}].endpoint",
                f'"{upstream.endpoint.host}" is a name, which cannot be asked for in {PATH}: write an address',
            )
    return found


def _namespace(value: Any) -> str:
    text = value[len(_FOLDER) :] if isinstance(value, str) and value.startswith(_FOLDER) else value
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise TopologyError(f"{shown(value)} is neither container:NAME nor the name of one in /run/netns")
    return text


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
