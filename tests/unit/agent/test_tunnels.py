# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions that are carried out: once, and until they are."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from splitway.agent.upstreams import tunnels
from splitway.agent.upstreams.health import DOWN, UP, Health
from splitway.agent.upstreams.switch import Switched
from splitway.agent.upstreams.tunnels import Tunnels
from splitway.choices import Choice, Choices
from splitway.state import Agent, Group, Member, State, Watch, Way
from splitway.store import Store
from splitway.system import System, SystemFailure

WATCH = Watch("us", "wg-up-1", ())
GROUP = Group(101, "us", "failover", (Member(101, "us"),), "direct")
STATE = State(agent=Agent("engine", (WATCH,), (GROUP,)))
TUNNEL, DIRECT = Choice((Way(101),)), Choice((Way(101),), direct=True)


class NobodyHeals:
    """A healer that is only asked."""

    def ask(self, sections: Collection[str]) -> None:
        pass


class Kernel:
    """Takes switches, or refuses them after the choice was written down."""

    def __init__(self) -> None:
        self.switches: list[tuple[Choices, Choices]] = []
        self.refuses = False

    def switch(self, store: Store, before: Choices, after: Choices, _dead: Collection[int]) -> Switched:
        store.kept.choices.write(after)
        if self.refuses:
            raise SystemFailure("no memory")
        self.switches.append((before, after))
        return Switched()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(tunnels, "switch", made.switch)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(System(tmp_path / "etc", tmp_path / "run", tmp_path / "log", tmp_path / "data"))


class Deciding:
    """Tunnels whose upstream is as the test says."""

    def __init__(self, store: Store) -> None:
        self.tunnels = Tunnels(store, NobodyHeals(), self._work)  # type: ignore[arg-type]
        self.tunnels._state = STATE

    async def _work(self, action: Any, *arguments: Any) -> Any:
        return action(*arguments)

    async def decide(self, state: str, good: int = 3) -> None:
        self.tunnels.health = {"us": Health(WATCH, since=0.0, state=state, good=good)}
        await self.tunnels.decide()


def test_a_switch_that_failed_is_taken_back_when_it_is_no_longer_wanted(kernel: Kernel, store: Store) -> None:
    async def run() -> None:
        deciding = Deciding(store)
        await deciding.decide(UP)
        assert store.kept.choices.read() == {101: TUNNEL}
        kernel.refuses = True
        await deciding.decide(DOWN)
        assert store.kept.choices.read() == {101: DIRECT}, "what was half done is what every run and healing goes by"
        kernel.refuses = False
        await deciding.decide(UP)
        assert store.kept.choices.read() == {101: TUNNEL}
        assert kernel.switches[-1] == ({101: DIRECT}, {101: TUNNEL})

    asyncio.run(run())


def test_choices_of_groups_that_are_no_more_are_forgotten(kernel: Kernel, store: Store) -> None:
    async def run() -> None:
        deciding = Deciding(store)
        await deciding.decide(DOWN)
        deciding.tunnels._state = State(agent=Agent("engine", (WATCH,)))
        await deciding.decide(DOWN)
        assert store.kept.choices.read() == {}, "their numbers may be another's one day"
        await deciding.decide(DOWN)
        assert len(kernel.switches) == 2

    asyncio.run(run())
