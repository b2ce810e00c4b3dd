# SPDX-License-Identifier: GPL-3.0-or-later
"""When a tunnel that may take either way tries the other one."""

from __future__ import annotations

import dataclasses

from splitway.agent.transports import ways
from splitway.agent.upstreams.health import Health, Reading
from splitway.state import Target, Watch

WATCH = Watch("us", "wg-up-1", (Target("icmp", "1.1.1.1"),))


def health(bad: int, handshake: float = 10.0) -> Health:
    return dataclasses.replace(Health(WATCH, 0.0), bad=bad, reading=Reading(1, 1, handshake))


def test_the_websocket_is_tried_once_for_each_round_that_failed() -> None:
    past, tried = ways.starting(0.0), []
    for bad in (0, 1, 1, 2, 0, 0, 1):
        tried.append(ways.tries_websocket(past, health(bad)))
        past = ways.after_round(past, health(bad))
    assert tried == [False, True, False, True, False, False, True]


def test_without_a_session_wireguard_has_time_to_shake_hands() -> None:
    assert ways.patience(health(1)) == WATCH.timeout / 1000
    assert ways.patience(health(1, handshake=200.0)) == ways.REKEY
    assert ways.patience(Health(WATCH, 0.0)) == ways.REKEY


def pauses(past: ways.Past, now: float, trials: int) -> list[float]:
    found = []
    for _ in range(trials):
        found.append(past.next - now)
        now = past.next
        past = ways.stayed(past, now)
    return found


def test_udp_is_tried_less_and_less_often() -> None:
    past = ways.left(ways.starting(0.0), 100.0)
    assert pauses(past, 100.0, 7) == [30, 60, 120, 240, 480, 600, 600]


def test_a_return_that_did_not_last_makes_the_next_one_later() -> None:
    past = ways.left(ways.starting(0.0), 0.0)
    for expected in (60.0, 120.0):
        past = ways.left(ways.came_back(past, 1000.0), 1100.0)
        assert past.next - 1100.0 == expected
    past = ways.left(ways.came_back(past, 2000.0), 2000.0 + ways.LASTING)
    assert past.pause == ways.FIRST_PAUSE


def test_another_address_of_the_host_is_a_reason_to_try_at_once() -> None:
    past = ways.at_address(ways.stayed(ways.left(ways.starting(0.0), 0.0), 30.0), "10.0.0.1", 31.0)
    assert past.next == 90.0
    assert ways.at_address(past, "10.0.0.1", 32.0) is past
    assert ways.at_address(past, "", 32.0) is past, "no route is no other address"
    moved = ways.at_address(past, "10.1.0.1", 33.0)
    assert (moved.next, moved.pause) == (33.0 + ways.SETTLE, ways.FIRST_PAUSE)


def test_where_nothing_says_that_udp_is_blocked_it_is_tried_at_once() -> None:
    past = ways.soon(ways.left(ways.starting(0.0), 10.0), 10.0)
    assert pauses(past, 10.0, 2) == [0.0, 2 * ways.FIRST_PAUSE]
