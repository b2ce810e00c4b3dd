# SPDX-License-Identifier: GPL-3.0-or-later
"""An exit's own proxy: on its loopback, for what comes in by its WebSocket."""

from __future__ import annotations

from ..state import PROXY_USERS, Listener, PortRange, Proxies, Proxy
from ..topology.model import ExitNode
from .transports import FAR_PROXY, LOOPBACK


def compile_exit_proxies(exit_node: ExitNode) -> Proxies:
    """Return an exit's section: one HTTP proxy, or none. It leads to the Internet, not to what is around the exit."""
    if exit_node.websocket is None or not exit_node.websocket.proxies:
        return Proxies()
    port = int(FAR_PROXY.rpartition(":")[2])
    listener = Listener("http", (LOOPBACK,), PortRange("proxy/exit/http", port, port))
    return Proxies((Proxy("exit", 1, (listener,), public_only=True, at_boot=True),), accounts=(f"{PROXY_USERS}1",))
