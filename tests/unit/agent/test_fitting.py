# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tunnel's path is looked at, and where it ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import pytest

from splitway.agent.upstreams.fitting import Fitting
from splitway.agent.upstreams.health import UP, Health
from splitway.state import Device, Peer, PortRange, Watch
from splitway.store import Store
from splitway.system import System

EXIT, NEAR_END = "192.0.2.1:51820", "127.0.0.1:41000"


@pytest.mark.parametrize(
    ("way", "seen", "looked_at"),
    [(EXIT, EXIT, EXIT), (NEAR_END, NEAR_END, NEAR_END), (EXIT, NEAR_END, None)],
    ids=["by UDP", "by its WebSocket", "on its way back"],
)
def test_a_tunnel_on_its_way_back_to_udp_says_nothing_of_that_path(
    tmp_path: Path, way: str, seen: str, looked_at: Optional[str]
) -> None:
    port = PortRange("transport/us/wireguard", 41000, 41000)
    peer = Peer("exit", "key", (), endpoint=way)
    device = Device("us", "wg-up-1", "", (), (peer,), transport="auto", websocket=port)
    store = Store(System(tmp_path / "etc", tmp_path / "run", tmp_path / "log", tmp_path / "data"))
    healer = SimpleNamespace(readings=SimpleNamespace(first=lambda _: SimpleNamespace(endpoint=seen)))
    tunnels = SimpleNamespace(health={"us": Health(Watch("us", "wg-up-1", ()), since=0.0, state=UP)})
    fitting = Fitting(store, healer, tunnels, None)  # type: ignore[arg-type]
    assert fitting._due(device) == looked_at
