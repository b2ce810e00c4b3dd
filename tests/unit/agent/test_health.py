# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of an upstream over a pretended tunnel and a clock of its own."""

from __future__ import annotations

import random
from typing import Callable, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.agent.upstreams.health import DOWN, UNKNOWN, UP, Health, Reading, Round, judge
from splitway.state import Target, Watch

NEAR, FAR = Target("icmp", "1.1.1.1"), Target("tcp", "8.8.8.8", 443)
WATCH = Watch("us", "wg-up-1", (NEAR, FAR))
TIGHT = Watch("us", "wg-up-1", (NEAR, FAR), interval=500, timeout=400)


class Tunnel:
    """A tunnel as WireGuard counts it, probed by the default watch."""

    def __init__(self, watch: Watch = WATCH) -> None:
        self.watch = watch
        self.now = 1000.0
        self.health = Health(watch, self.now)
        self.received = self.sent = 0
        self.handshake: Optional[float] = self.now  # when; None: never
        self.answers = True  # the targets
        self.answers_handshakes = True
        self.refused: tuple[Target, ...] = ()
        self.download = self.upload = 0  # clients' data that pass, bytes a second
        self.there = True
        self.rtt = 0.03
        self.began = self.now

    def round(self) -> Health:
        """Let an interval go by, with one round of probes at its end."""
        seconds = self.watch.interval / 1000
        self.now += seconds
        self.received += int(self.download * seconds)
        self.sent += int(self.upload * seconds) + 80
        age = None if self.handshake is None else self.now - self.handshake
        if age is None or age > 120:
            self.sent += 148
            if self.answers_handshakes:
                self.received += 92
                self.handshake = self.now
        if self.answers:
            replies: dict[Target, Optional[float]] = {NEAR: self.rtt}
            self.received += 128
        else:
            replies = {NEAR: None, FAR: None}
        age = None if self.handshake is None else float(int(self.now - self.handshake))
        reading = Reading(self.received, self.sent, age) if self.there else None
        received = int(self.download * self.watch.timeout / 1000)
        self.health = judge(self.health, Round(self.now, replies, reading, received, self.refused))
        return self.health

    def until(self, condition: Callable[[Health], bool], limit: float = 3600) -> float:
        """Go on until it holds; return the seconds that it took."""
        start = self.now
        while not condition(self.round()):
            assert self.now - start < limit, self.health
        return self.now - start

    def seconds(self, seconds: float) -> set[str]:
        """Go on for that long; return the states that were seen."""
        return {self.round().state for _ in range(int(seconds * 1000 / self.watch.interval))}


def test_three_strikes_down_three_up() -> None:
    tunnel = Tunnel()
    assert [tunnel.round().state for _ in range(3)] == [UNKNOWN, UNKNOWN, UP]
    tunnel.answers = False
    assert [tunnel.round().state for _ in range(3)] == [UP, UP, DOWN]
    assert tunnel.health.since == tunnel.now
    assert tunnel.health.why == "no target answers, and no data comes in"
    tunnel.answers = True
    assert [tunnel.round().state for _ in range(3)] == [DOWN, DOWN, UP]


def test_lost_probes_take_nothing_down_and_are_counted() -> None:
    tunnel = Tunnel()
    tunnel.seconds(10)
    losing = random.Random(1)
    for _ in range(100):
        tunnel.answers = not (losing.random() < 0.25 and tunnel.health.bad < 2)
        assert tunnel.round().state == UP
    assert 0.2 < tunnel.health.loss < 0.5  # a lost round asks both targets
    tunnel.answers = True
    tunnel.seconds(200)
    assert tunnel.health.loss == 0


def test_latency_follows_slowly() -> None:
    tunnel = Tunnel()
    tunnel.seconds(10)
    assert tunnel.health.latency == pytest.approx(0.03)
    tunnel.rtt = 0.5
    tunnel.round()
    assert tunnel.health.latency == pytest.approx(0.03 + 0.47 / 8)
    tunnel.seconds(120)
    assert tunnel.health.latency == pytest.approx(0.5, rel=0.01)


def test_a_quiet_tunnel_is_not_a_dead_one() -> None:
    # Without targets nothing is asked; a quiet tunnel lets its handshake grow old.
    health = Health(Watch("us", "wg-up-1", ()), 0.0)
    for second in range(0, 3600, 2):
        health = judge(health, Round(float(second), {}, Reading(5000, 5000, 100.0 + second), 0))
    assert health.state == UNKNOWN


def test_handshakes_alone_keep_nothing_alive() -> None:
    tunnel = Tunnel()
    tunnel.seconds(300)
    tunnel.answers = False
    assert tunnel.until(lambda health: health.state == DOWN) == 6
    assert tunnel.seconds(1800) == {DOWN}
    assert tunnel.now - (tunnel.handshake or 0) < 180


def test_data_that_moves_outweighs_targets_that_are_gone() -> None:
    tunnel = Tunnel()
    tunnel.seconds(10)
    tunnel.answers, tunnel.download = False, 1000
    assert tunnel.seconds(600) == {UP}
    assert tunnel.health.loss == 1.0
    tunnel.download = 0
    assert tunnel.until(lambda health: health.state == DOWN) == 6


def test_an_exit_that_answers_unreachable_moves_no_data() -> None:
    tunnel = Tunnel()
    tunnel.seconds(10)
    tunnel.answers, tunnel.refused, tunnel.download = False, (NEAR,), 1200
    assert tunnel.until(lambda health: health.state == DOWN) == 6
    assert tunnel.health.why == "no target can be reached"
    # Real traffic is more than an exit sends of such answers: then it is the targets that are gone.
    tunnel.download = 50_000
    assert tunnel.until(lambda health: health.state == UP) == 6


def test_repeated_segments_are_no_data_that_moves() -> None:
    """What we send is lost, what the far end sends is not: servers repeat what no client acknowledges."""
    tunnel = Tunnel()
    tunnel.download = 17000
    tunnel.seconds(60)
    tunnel.answers = False
    tunnel.download = 350  # measured in the lab, two seconds after the port of an exit was shut
    assert [tunnel.round().state for _ in range(3)] == [UP, UP, DOWN]


def test_wrong_targets_do_not_take_down_what_moves_data() -> None:
    tunnel = Tunnel()
    tunnel.answers, tunnel.download, tunnel.upload = False, 2000, 500
    assert DOWN not in tunnel.seconds(3600)
    assert tunnel.health.state == UP
    assert tunnel.health.silent == (NEAR, FAR)


def test_wrong_targets_do_not_take_down_a_one_way_stream() -> None:
    tunnel = Tunnel()
    tunnel.answers, tunnel.upload = False, 20_000
    for second in range(1, 1800):
        tunnel.received += 32 if second % 5 == 0 else 0  # the peer's keepalive: it has had nothing to say for 10 s
        assert tunnel.round().state == UNKNOWN


def test_wrong_targets_and_a_quiet_tunnel_prove_nothing() -> None:
    tunnel = Tunnel()
    tunnel.answers = False
    assert tunnel.seconds(3600) == {UNKNOWN}


def test_wrong_targets_and_no_handshake_are_a_dead_tunnel() -> None:
    tunnel = Tunnel()
    tunnel.answers, tunnel.handshake, tunnel.answers_handshakes = False, None, False
    tunnel.round()
    assert tunnel.until(lambda health: health.state == DOWN) == 6
    # It comes back when it shakes hands again: more cannot be known before somebody uses it.
    tunnel.answers_handshakes = True
    assert tunnel.until(lambda health: health.state == UP) <= 10
    assert tunnel.seconds(600) == {UP}


def test_wrong_targets_and_a_handshake_that_grows_too_old() -> None:
    tunnel = Tunnel()
    tunnel.answers = False
    tunnel.seconds(60)
    tunnel.answers_handshakes = False  # nobody uses it: only the probes go out, and nothing comes back
    tunnel.until(lambda health: health.state == DOWN)
    assert 180 <= tunnel.now - (tunnel.handshake or 0) <= 190


def test_wrong_targets_and_a_tunnel_that_dies_under_load() -> None:
    tunnel = Tunnel()
    tunnel.answers, tunnel.upload, tunnel.download = False, 5000, 50_000
    assert tunnel.seconds(60) == {UNKNOWN, UP}
    tunnel.download, tunnel.answers_handshakes = 0, False
    assert 25 <= tunnel.until(lambda health: health.state == DOWN) <= 34


def test_a_tunnel_without_an_interface_is_down() -> None:
    tunnel = Tunnel()
    tunnel.there = tunnel.answers = False
    assert tunnel.until(lambda health: health.state == DOWN) == 6
    assert tunnel.health.why == "there is no such interface"


def test_readings_that_are_older_than_the_round_mean_the_same() -> None:
    """WireGuard's counters are read every other round only."""
    health, reading = Health(WATCH, 0.0), Reading(0, 0, 5.0)
    for number in range(1, 200):
        if number % 2:
            reading = Reading(reading.received, reading.sent + 4000, 5.0 + 2 * number)
        health = judge(health, Round(2.0 * number, {NEAR: None, FAR: None}, reading, 0))
        if health.state == DOWN:
            break
    assert 25 <= 2 * number <= 36
    assert health.why == "data goes out, and nothing comes back"


@pytest.mark.parametrize(("watch", "budget"), [(WATCH, 8.0), (TIGHT, 2.0)])
def test_detection_keeps_its_budget(watch: Watch, budget: float) -> None:
    """A tunnel dies at any moment, under load or quiet; a round that nobody answers ends with its timeout."""
    interval, timeout = watch.interval / 1000, watch.timeout / 1000
    worst = 0.0
    for load in (0, 100_000):
        for step in range(101):
            death = 10 * interval + step * interval / 100
            health = Health(watch, 0.0)
            for number in range(30):
                start = number * interval
                answered = start + 0.03 < death
                end = start + (0.03 if answered else timeout)
                received = int(load * max(0.0, min(death, end) - start))
                reading = Reading(int(load * min(death, end)), int(end * 1000), 10.0)
                replies = {NEAR: 0.03} if answered else {NEAR: None, FAR: None}
                health = judge(health, Round(end, replies, reading, received))
                if health.state == DOWN:
                    worst = max(worst, health.since - death)
                    break
            assert health.state == DOWN
    assert interval * 2 < worst <= budget


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 500)), max_size=80), st.integers(1, 4), st.integers(1, 4))
def test_no_state_without_its_rounds(rounds: list[tuple[bool, int]], down_after: int, up_after: int) -> None:
    watch = Watch("us", "wg-up-1", (NEAR,), down_after=down_after, up_after=up_after)
    health = judge(Health(watch, 0.0), Round(0.0, {NEAR: 0.1}, None))
    good = [True]
    for number, (answered, received) in enumerate(rounds, start=1):
        replies = {NEAR: 0.1 if answered else None}
        before = health.state
        health = judge(health, Round(2.0 * number, replies, Reading(0, 0, 10.0), received))
        good.append(answered or received > 400)
        if health.state != before:
            needed = up_after if health.state == UP else down_after
            assert good[-needed:] == [health.state == UP] * needed
        assert 0 <= health.loss <= 1
