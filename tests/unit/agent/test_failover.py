# SPDX-License-Identifier: GPL-3.0-or-later
"""Choices of groups over members whose health is told, or judged from pretended probes, in simulated time."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from typing import Optional

from hypothesis import given, settings
from hypothesis import strategies as st

from splitway.agent.upstreams.failover import Memory, choose, dead, remember
from splitway.agent.upstreams.health import DOWN, UNKNOWN, UP, Health, Reading, Round, judge
from splitway.agent.upstreams.members import LONGEST_HOLD
from splitway.choices import Choice
from splitway.state import Group, Member, Target, Watch, Way

US, EU, DE, G, H = 101, 102, 103, 110, 120
NAMES = {"us": US, "eu": EU, "de": DE}
GROUP = Group(G, "west", "failover", (Member(US, "us"), Member(EU, "eu"), Member(DE, "de")))
TARGET = Target("icmp", "1.1.1.1")


class World:
    """Groups, and upstreams whose state is set by hand."""

    def __init__(self, *groups: Group, plain: Optional[dict[int, str]] = None) -> None:
        self.groups, self.plain = groups, plain or {}
        self.now = 0.0
        names = {member.upstream for group in groups for member in group.members} | set(self.plain.values())
        self.upstreams = {name: Health(Watch(name, "", ()), self.now) for name in names}
        self.memory: Memory = {}
        self.choices: dict[int, Choice] = {}
        self.switches = 0

    def set(self, name: str, state: str = "", latency: Optional[float] = None) -> None:
        health = self.upstreams[name]
        if state and state != health.state:
            health = dataclasses.replace(health, state=state, since=self.now)
        self.upstreams[name] = dataclasses.replace(health, latency=latency or health.latency)

    def step(self, seconds: float = 0) -> list[int]:
        """Let time go by; return the numbers that new flows of the first group get."""
        self.now += seconds
        chosen, self.memory = choose(self.groups, self.upstreams, self.memory, self.now, self.plain)
        first = self.groups[0].number
        self.switches += bool(self.choices) and chosen[first] != self.choices[first]
        self.choices = chosen
        return [way.number for way in chosen[first].ways]

    def pass_(self, seconds: int) -> list[list[int]]:
        return [self.step(1) for _ in range(seconds)]


def up(world: World) -> World:
    for name in world.upstreams:
        world.set(name, UP)
    world.step()
    return world


def test_at_first_the_ways_are_the_compilers() -> None:
    assert World(GROUP).step() == [US]
    balance = dataclasses.replace(GROUP, mode="balance", members=(Member(US, "us", 2), Member(EU, "eu")))
    world = World(balance)
    world.step()
    assert world.choices == {G: Choice((Way(US, 2), Way(EU, 1)))}
    assert World(dataclasses.replace(GROUP, mode="latency")).step() == [US]


def test_a_dead_member_is_left_at_once_and_the_best_comes_back_after_the_hold() -> None:
    world = up(World(GROUP))
    world.set("us", DOWN)
    assert world.step() == [EU]
    assert dead(world.groups, world.upstreams) == {US}
    world.step(100)
    world.set("us", UP)
    assert world.pass_(59) == [[EU]] * 59
    assert world.step(1) == [US]


def test_of_those_that_are_left_the_best_takes_over() -> None:
    world = up(World(GROUP))
    world.set("us", DOWN)
    world.set("eu", DOWN)
    assert world.step() == [DE]
    world.set("eu", UP)
    assert world.step(60) == [EU]


def test_a_link_that_flaps_is_left_alone_for_longer_and_longer() -> None:
    world = up(World(GROUP))
    for _ in range(7 * 24 * 15):  # a week: 3 minutes up, 1 down
        world.set("us", DOWN)
        world.step()
        world.step(60)
        world.set("us", UP)
        for _ in range(18):
            world.step(10)
    assert 2 <= world.switches <= 7 * 6
    assert world.step(LONGEST_HOLD) == [US]


def test_a_good_day_forgives() -> None:
    world = up(World(GROUP))
    for _ in range(3):
        world.set("us", DOWN)
        world.step(30)
        world.set("us", UP)
        world.pass_(600)
    world.set("us", DOWN)
    world.step(1)
    world.set("us", UP)
    assert world.step(60) == [EU]  # its returns have not lasted
    assert world.step(3600) == [US]
    world.step(86400)
    world.set("us", DOWN)
    world.step(30)
    world.set("us", UP)
    assert (world.step(59), world.step(1)) == ([EU], [US])


def test_balance_uses_all_that_are_up() -> None:
    world = up(World(dataclasses.replace(GROUP, mode="balance")))
    world.set("eu", DOWN)
    assert world.step() == [US, DE]
    world.set("eu", UP)
    assert (world.step(59), world.step(1)) == ([US, DE], [US, EU, DE])
    # The last ones die while another waits for its hold: nothing is better than it.
    world.set("de", DOWN)
    world.step()
    world.set("de", UP)
    world.set("us", DOWN)
    world.set("eu", DOWN)
    assert world.step(1) == [DE]


def test_the_fastest_takes_over_only_by_the_margin_and_for_good() -> None:
    world = up(World(dataclasses.replace(GROUP, mode="latency")))
    world.set("us", latency=0.100)
    world.set("eu", latency=0.090)
    assert world.pass_(600) == [[US]] * 600  # 10 ms are within the margin
    world.set("eu", latency=0.050)
    world.pass_(30)
    world.set("eu", latency=0.095)
    world.pass_(1)
    world.set("eu", latency=0.050)
    assert world.pass_(60) == [[US]] * 60  # not for long enough
    assert world.step(1) == [EU]
    world.set("eu", DOWN)
    assert world.step(1) == [US]  # de's latency is not known
    world.set("us", DOWN)
    assert world.step(1) == [DE]


def test_speeds_that_take_turns_do_not_make_flows_wander() -> None:
    world = up(World(dataclasses.replace(GROUP, mode="latency")))
    for turn in range(7 * 24 * 30):  # a week: each is faster for two minutes
        world.set("us", latency=0.05 if turn % 2 else 0.10)
        world.set("eu", latency=0.10 if turn % 2 else 0.05)
        for _ in range(12):
            world.step(10)
    assert 1 <= world.switches <= 7 * 6


def test_all_down_blocks() -> None:
    world = up(World(GROUP))
    for name in world.upstreams:
        world.set(name, DOWN)
    assert world.step() == [G]
    assert not world.choices[G].direct
    world.set("de", UP)
    assert world.step(1) == [DE]  # nothing is lost by it
    world.set("us", UP)
    assert (world.step(59), world.step(1)) == ([DE], [US])


def test_direct_is_left_at_once_but_not_for_a_tunnel_that_flaps() -> None:
    single = Group(US, "us", "failover", (Member(US, "us"),), on_down="direct")
    world = up(World(single))
    world.set("us", DOWN)
    world.step(1)
    assert world.choices == {US: Choice((Way(US),), direct=True)}
    world.set("us", UP)
    world.step(1)
    assert world.choices == {US: Choice((Way(US),))}
    world.set("us", DOWN)
    world.step(10)
    world.set("us", UP)
    world.step(59)
    assert world.choices[US].direct
    world.step(1)
    assert not world.choices[US].direct


def test_another_egress_carries_the_traffic_while_none_is_up() -> None:
    first = dataclasses.replace(GROUP, members=(Member(US, "us"),), on_down="egress", fallback=H)
    second = Group(H, "east", "balance", (Member(EU, "eu", 3), Member(DE, "de")), on_down="egress", fallback=G)
    world = up(World(first, second))
    world.set("us", DOWN)
    world.step(1)
    assert world.choices[G] == world.choices[H] == Choice((Way(EU, 3), Way(DE)))
    world.set("us", UP)
    assert (world.step(59), world.step(1)) == ([EU, DE], [US])
    for name in ("us", "eu", "de"):
        world.set(name, DOWN)
    world.step(1)
    assert all(way.number in (G, H) for choice in world.choices.values() for way in choice.ways)
    world.set("us", UP)
    assert world.step(1) == [US]  # the other egress is dead, too: no reason to wait


def test_a_plain_upstream_as_the_other_egress() -> None:
    first = dataclasses.replace(GROUP, members=(Member(US, "us"),), on_down="egress", fallback=EU)
    world = up(World(first, plain={EU: "eu"}))
    world.set("us", DOWN)
    assert world.step(1) == [EU]
    world.set("eu", DOWN)
    assert world.step(1) == [EU]
    world.set("us", UP)
    assert world.step(1) == [US]


def test_an_agent_that_starts_again_goes_on_where_it_was() -> None:
    world = up(World(GROUP))
    world.set("us", DOWN)
    world.step(1)
    again = World(GROUP)
    again.memory = remember(again.groups, world.choices)
    assert again.step() == [EU]  # although nothing is known of us
    again.set("us", UP)
    assert (again.step(59), again.step(1)) == ([EU], [US])
    direct = Group(US, "us", "failover", (Member(US, "us"),), on_down="direct")
    third = World(direct)
    third.memory = remember(third.groups, {US: Choice((Way(US),), direct=True)})
    third.step()
    assert third.choices[US].direct
    third.set("us", UP)
    third.step(2)
    assert not third.choices[US].direct


def test_an_upstream_that_nobody_watches_is_no_way() -> None:
    world = World(GROUP)
    del world.upstreams["us"]
    assert world.step() == [EU]


class Link:
    """A link that fails at random, judged by probes every ten seconds."""

    def __init__(self, name: str, seed: int, good: float, bad: float) -> None:
        self.watch = Watch(name, "", (TARGET,), interval=10_000)
        self.health = Health(self.watch, 0.0)
        self._random, self._means = random.Random(seed), (good, bad)
        self.works, self._change = True, 0.0
        self.dead_rounds = 0

    def round(self, now: float) -> Health:
        if now >= self._change:
            self.works = not self.works if now else True
            self._change = now + self._random.expovariate(1 / self._means[0 if self.works else 1])
        lost = not self.works or self._random.random() < 0.05
        self.dead_rounds = 0 if self.works else self.dead_rounds + 1
        reading = Reading(0, int(now * 100), 10.0)
        self.health = judge(self.health, Round(now, {TARGET: None if lost else 0.05}, reading, 0))
        return self.health


def test_a_week_of_failures() -> None:
    """Good links, a bad one and one that flaps: few switches, never long on a dead member, the best after quiet."""
    links = {"us": Link("us", 1, 40_000, 900), "eu": Link("eu", 2, 400, 60), "de": Link("de", 3, 200_000, 300)}
    memory: Memory = {}
    used, switches, on_best, outages = US, 0, 0, 0
    week = 7 * 24 * 360
    for tick in range(week):
        now = 10.0 * tick
        before = {name: link.works for name, link in links.items()}
        upstreams = {name: link.round(now) for name, link in links.items()}
        outages += before["us"] and not links["us"].works
        choices, memory = choose((GROUP,), upstreams, memory, now, {})
        number = choices[G].ways[0].number
        switches += number != used
        used = number
        on_best += used == US
        if used in NAMES.values():
            link = links[{number: name for name, number in NAMES.items()}[used]]
            assert link.dead_rounds <= link.watch.down_after
    assert outages >= 10
    # There and back for each outage of the best; what is more is eu's failing while it stands in.
    assert switches <= 6 * outages
    assert on_best / week > 0.9
    for _ in range(int(LONGEST_HOLD) // 10 + 20):
        now += 10.0
        for link in links.values():
            link.works, link._change = True, now + 100_000
        choices, memory = choose((GROUP,), {n: link.round(now) for n, link in links.items()}, memory, now, {})
    assert choices[G].ways == (Way(US),)


states = st.sampled_from((UP, DOWN, UNKNOWN))
events = st.lists(
    st.tuples(st.sampled_from(("us", "eu", "de")), states, st.sampled_from((0.01, 0.1)), st.integers(0, 400)),
    max_size=60,
)
groups = st.builds(
    Group,
    st.just(G),
    st.just("west"),
    st.sampled_from(("failover", "balance", "latency")),
    st.just(GROUP.members),
    st.sampled_from(("block", "direct", "egress")),
    st.just(130),
    hold=st.integers(0, 100),
)


@settings(max_examples=300)
@given(groups, events)
def test_the_ways_are_members_that_are_up_and_change_for_a_reason(group: Group, story: list[tuple]) -> None:
    world = World(group, plain={130: "spare"})
    world.step()
    for name, state, latency, seconds in story:
        before, members = world.choices[G], world.memory[G].members
        world.now += seconds
        world.set(name, state, latency)
        ways = set(world.step())
        alive = {NAMES[entry] for entry in NAMES if world.upstreams[entry].state != DOWN}
        if world.memory[G].members:
            assert ways <= alive
            assert not world.choices[G].direct
        else:
            assert ways == ({130} if group.on_down == "egress" else {G})
            assert world.choices[G].direct == (group.on_down == "direct")
            assert not alive or group.on_down != "block"
        if world.choices[G] != before and members and set(members) <= alive:
            joined = set(world.memory[G].members) - set(members)
            assert joined  # nobody is left but for somebody better
            assert all(_steady(world.upstreams, number, world.now) >= group.hold for number in joined)
        assert world.step() == [way.number for way in world.choices[G].ways]
        settled = world.choices[G]
        world.step()
        assert world.choices[G] == settled  # without time or news nothing changes


def _steady(upstreams: Mapping[str, Health], number: int, now: float) -> float:
    name = {number: name for name, number in NAMES.items()}[number]
    return now - upstreams[name].since
