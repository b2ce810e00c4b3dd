# SPDX-License-Identifier: GPL-3.0-or-later
"""When what is tried for an upstream that is down."""

from __future__ import annotations

from splitway.agent.upstreams.repair import DEVICE, ENDPOINT, History, done, next_step


def steps(restart: bool, seconds: int) -> list[tuple[int, str]]:
    """Return (second, step) of an upstream that stays down from second 1000 on, asked every 2 s."""
    history, taken = History(), []
    for now in range(1000, 1000 + seconds, 2):
        step = next_step(history, now, restart)
        if step is not None:
            taken.append((now - 1000, step))
            history = done(history, now)
    return taken


def test_endpoint_and_device_take_turns_less_and_less_often() -> None:
    taken = steps(restart=True, seconds=3600)
    assert taken[:6] == [(0, ENDPOINT), (10, DEVICE), (30, ENDPOINT), (70, DEVICE), (150, ENDPOINT), (310, DEVICE)]
    pauses = [later[0] - earlier[0] for earlier, later in zip(taken[6:], taken[7:])]
    assert set(pauses) == {300}


def test_without_restarts_only_the_endpoint_is_looked_after() -> None:
    assert {step for _, step in steps(restart=False, seconds=3600)} == {ENDPOINT}
