# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations that come while the agent waits for something about a WebSocket; choices that are made at one time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from splitway.agent.transports import adopt as adopting
from splitway.agent.transports import carrying, falling, reach, serving, trial
from splitway.agent.transports.adopt import adopt
from splitway.agent.transports.carrying import Carrying
from splitway.agent.transports.falling import Falling
from splitway.agent.transports.serving import Serving
from splitway.agent.upstreams.health import DOWN, UP, Health
from splitway.state import Agent, Device, Forwarding, Peer, PortRange, State, TransportClient, Transports, Watch
from splitway.store import Store
from splitway.system import System
from splitway.transports import AUTO, UDP, WEBSOCKET, Carried

PORT = PortRange("transport/us/wireguard", 41000, 41000)
WATCH = Watch("us", "wg-up-1", ())
DEVICE = Device(
    "us", "wg-up-1", "", (), (Peer("exit", "key", (), endpoint="192.0.2.1:51820"),), transport=AUTO, websocket=PORT
)


def client(name: str) -> TransportClient:
    carried = Forwarding("wireguard", "udp", PORT, "127.0.0.1:51820")
    return TransportClient(name, "wg-up-1", "wstunnel", ("wss://192.0.2.1:443", "wss://192.0.2.2:443"), "p", (carried,))


WEBSOCKETS = Transports(clients=(client("us"), client("eu")))
PROXIES_ONLY = State(transports=WEBSOCKETS)
GATEWAY = State(transports=WEBSOCKETS, upstreams=(DEVICE,), agent=Agent("engine", (WATCH,)))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(adopting, "bring", lambda *_: {})
    monkeypatch.setattr(adopting.wireguard, "set_endpoints", lambda *_: None)
    for module in (serving, carrying, falling):
        monkeypatch.setattr(module, "LOOK", 0.0)
    return Store(System(tmp_path / "etc", tmp_path / "run", tmp_path / "log", tmp_path / "data"))


async def work(action: Callable[..., Any], *arguments: Any) -> Any:
    return action(*arguments)


def goes_on(part: Coroutine[Any, Any, None], reached: list[str]) -> None:
    """Let a part of the agent run until the generation has gone, and then see that it has not ended."""

    async def run() -> None:
        task = asyncio.create_task(part)
        for _ in range(200):
            await asyncio.sleep(0)
        assert reached, "the test waits for nothing"
        if task.done():
            task.result()
        task.cancel()

    asyncio.run(run())


def test_backups_are_used_where_there_are_proxies_and_no_tunnels(store: Store) -> None:
    store.publish(PROXIES_ONLY)
    assert adopt(store, "us", "why", server=1)
    assert adopt(store, "eu", "why", server=1)
    assert store.kept.carried.read() == {"us": Carried(UDP, 1), "eu": Carried(UDP, 1)}


def test_a_way_and_a_server_that_are_chosen_at_one_time_both_count(store: Store) -> None:
    store.publish(GATEWAY)
    assert adopt(store, "us", "why", way=WEBSOCKET)
    assert adopt(store, "us", "why", server=1)
    assert adopt(store, "us", "why", way=UDP)
    assert store.kept.carried.read() == {"us": Carried(UDP, 1)}


def test_nothing_is_chosen_for_an_upstream_that_has_gone(store: Store) -> None:
    store.publish(PROXIES_ONLY)
    assert not adopt(store, "gone", "why", server=1)
    assert store.kept.carried.read() == {}


def test_an_upstream_goes_while_its_server_is_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    part, gone = Serving(store, SimpleNamespace(health={}), work), []  # type: ignore[arg-type]
    part.configure(PROXIES_ONLY)

    async def look(*_: Any) -> reach.Reached:
        part.configure(State())
        gone.append("us")
        return reach.Reached(True)

    monkeypatch.setattr(serving.reach, "server", look)
    goes_on(part.run(), gone)


def test_an_upstream_goes_while_its_websocket_is_tried(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    health = {"us": Health(WATCH, since=0.0, state=DOWN, bad=1)}
    part, gone = Carrying(store, None, SimpleNamespace(health=health), work), []  # type: ignore[arg-type]
    part.configure(GATEWAY)

    async def answered(*_: Any) -> bool:
        part.configure(State())
        gone.append("us")
        return True

    monkeypatch.setattr(trial, "over_websocket", answered)
    goes_on(part.run(), gone)
    assert part.changes == {}


def test_a_tunnel_that_its_websocket_keeps_after_a_run_stays_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transport was wstunnel, and is auto now: what comes over the WebSocket takes it back again and again."""
    store.publish(GATEWAY)
    health = {"us": Health(WATCH, since=0.0, state=UP)}
    part, pointed = Carrying(store, None, SimpleNamespace(health=health), work), []  # type: ignore[arg-type]
    part.configure(GATEWAY)

    async def astray(*_: Any) -> bool:
        pointed.append("us")
        return True

    monkeypatch.setattr(part, "_astray", astray)
    goes_on(part.run(), pointed)
    assert store.kept.carried.read() == {"us": Carried(WEBSOCKET)}
    assert part.changes == {"us": 1}


def test_modes_change_while_another_one_comes_into_force(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    health = {"us": Health(WATCH, since=0.0, state=DOWN)}
    others = SimpleNamespace(exhausted=lambda: True, far_proxies=lambda: True)
    part, gone = Falling(store, SimpleNamespace(health=health), others, work), []  # type: ignore[arg-type]
    part.configure(State(agent=Agent("engine", modes=("wireguard", "proxy"))))

    def put(*_: Any) -> None:
        part.configure(State(agent=Agent("engine", modes=("combined",))))
        gone.append("proxy")

    monkeypatch.setattr(falling, "put_into_force", put)
    monkeypatch.setattr(falling.fall, "GIVE_UP", 0.0)
    goes_on(part.run(), gone)
