# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses pinned names are answered with, in a time of the tests' own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.agent.names.pins import AGAIN, KEEP, MOST_ADDRESSES, PATIENCE, SELDOM, SERVED, STALE, Known, text
from splitway.agent.names.reach import may_be_tried
from splitway.agent.names.scores import Score, after

INTERVAL = 5.0  # seconds between tries


class World:
    """A name, and which of its addresses live."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.known = Known()
        self.scores: dict[str, Score] = {}
        self.living: set[str] = set()

    def answer(self, *addresses: str, ttl: int = 60) -> None:
        self.known.answer(addresses, ttl, self.now)

    def step(self, passes: float = INTERVAL) -> list[str]:
        """Try and serve; return what was tried."""
        self.now += passes
        self.known.forget(self.now)
        due = self.known.due(self.scores, self.now, INTERVAL)
        for address in due:
            took = 0.1 if address in self.living else None
            self.scores[address] = after(self.scores.get(address, Score()), self.now, took)
        self.known.served = self.known.choose(self.scores, self.now, lambda _: 0.0)
        return due


def test_what_is_served_first_is_tried_often_and_its_backups_seldom() -> None:
    world = World()
    world.living = {"a", "b", "c"}
    world.answer("a", "b", "c")
    assert sorted(world.step()) == ["a", "b", "c"]
    assert set(world.known.served) == {"a", "b", "c"}
    first = world.known.served[0]
    tried = [world.step() for _ in range(2 * SELDOM)]
    assert all(first in step for step in tried)
    assert sum(len(step) > 1 for step in tried) == 2


@given(st.sets(st.sampled_from("abcdef"), min_size=1), st.data())
def test_a_dead_first_is_replaced_in_the_step_that_finds_it_dead(addresses: set[str], data: st.DataObject) -> None:
    world = World()
    world.living = set(addresses)
    world.answer(*sorted(addresses))
    world.step()
    for _ in range(12):
        world.living = data.draw(st.sets(st.sampled_from(sorted(addresses))))
        before = world.known.served
        world.step()
        if before and before[0] not in world.living and set(before) & world.living:
            assert before[0] not in world.known.served
        assert set(world.known.served) <= addresses
        assert len(world.known.served) <= SERVED
    world.living = set(addresses)
    for _ in range(2 * SELDOM):
        world.step()
    assert set(world.known.served) <= addresses
    assert len(world.known.served) == min(len(addresses), SERVED)


def test_where_none_lives_it_is_answered_as_any_other_name_after_a_while() -> None:
    world = World()
    world.living = {"a"}
    world.answer("a", "b")
    world.step()
    assert world.known.served == ("a",)
    world.living = set()
    for _ in range(PATIENCE - 1):
        world.step()
        assert world.known.served == ("a",), "a moment is no death"
    world.step()
    assert world.known.served == ()
    assert world.known.wants(world.now, INTERVAL), "somebody may know another address"
    world.answer("c")
    assert not world.known.wants(world.now, INTERVAL)
    world.living = {"c"}
    world.step()
    assert world.known.served == ("c",)


def test_addresses_that_resolvers_no_longer_name_are_kept_as_long_as_clients_keep_them() -> None:
    world = World()
    world.answer("a")
    world.now += KEEP / 2
    world.answer("b")
    assert set(world.known.answered) == {"a", "b"}
    world.now += KEEP / 2
    world.answer("b")
    assert set(world.known.answered) == {"b"}
    world.answer()
    assert set(world.known.answered) == {"b"}, "that there are none may be a fault"
    world.step(STALE)
    assert world.known.answered == {}
    assert world.known.served == ()


def test_a_name_is_asked_for_again_by_its_time_to_live() -> None:
    low, high = AGAIN
    for ttl, expected in ((0, low), (60, 60), (86400, high)):
        world = World()
        assert world.known.wants(world.now, INTERVAL)
        world.answer("a", ttl=ttl)
        world.known.served = ("a",)
        assert not world.known.wants(world.now + expected - 1, INTERVAL)
        assert world.known.wants(world.now + expected, INTERVAL)
        assert world.known.wants(world.now - 3600, INTERVAL), "the clock was put back"


def test_only_so_many_addresses_are_kept() -> None:
    world = World()
    for number in range(3 * MOST_ADDRESSES):
        world.answer(f"192.0.2.{number}")
        world.now += 1
    assert set(world.known.answered) == {
        f"192.0.2.{number}" for number in range(2 * MOST_ADDRESSES, 3 * MOST_ADDRESSES)
    }


def test_dnsmasq_is_told_in_order() -> None:
    assert text({"b.example": ["192.0.2.2", "192.0.2.1"], "a.example": ["2001:db8::1"]}).splitlines()[1:] == [
        "2001:db8::1 a.example",
        "192.0.2.2 b.example",
        "192.0.2.1 b.example",
    ]


@pytest.mark.parametrize(
    ("address", "tried"),
    [
        ("198.51.100.1", True),
        ("2001:db8::1", True),
        ("10.0.0.1", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:198.51.100.1", False),
    ],
)
def test_addresses_of_the_host_itself_are_not_tried(address: str, tried: bool) -> None:
    assert may_be_tried(address) is tried
