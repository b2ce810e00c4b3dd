# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried for a WebSocket that carries nothing, and which mode is in force meanwhile."""

from __future__ import annotations

from splitway.agent.transports import fall, returns, servers
from splitway.agent.transports.servers import NEXT, RESTART, Backup, Trouble

MODES = ("combined", "proxy")


def steps(count: int, seconds: int) -> list[tuple[int, str]]:
    trouble, found = Trouble(0.0), []
    for now in range(seconds):
        step, trouble = servers.step(trouble, count, float(now))
        if step is not None:
            found.append((now, step))
    return found


def test_three_tries_each_later_than_the_last_then_the_next_server() -> None:
    assert steps(2, 70) == [
        *[(at, RESTART) for at in (0, 3, 9)],
        (21, NEXT),
        *[(at, RESTART) for at in (36, 39, 45)],
        (57, NEXT),
    ]


def test_an_only_server_is_tried_again_and_again_with_rests() -> None:
    assert [at for at, _ in steps(1, 100)] == [0, 3, 9, 81, 84, 90]


def test_each_server_has_had_its_tries() -> None:
    trouble = Trouble(0.0)
    for now in range(57):
        trouble = servers.step(trouble, 2, float(now))[1]
    assert not trouble.exhausted(2)
    assert servers.step(trouble, 2, 57.0)[1].exhausted(2)


def test_the_first_server_is_used_again_when_it_was_reachable_for_a_while() -> None:
    backup = servers.looked(Backup(), True, 0.0)
    assert not servers.may_return(backup, returns.HOLD - 1)
    assert not servers.may_return(servers.looked(backup, False, 30.0), returns.HOLD)
    assert servers.may_return(servers.looked(backup, True, 30.0), returns.HOLD)


def test_a_return_to_the_first_server_that_did_not_last_makes_the_next_one_later() -> None:
    backup = servers.left(servers.came_back(servers.looked(Backup(), True, 0.0), 60.0), 100.0)
    backup = servers.looked(backup, True, 200.0)
    assert not servers.may_return(backup, 200.0 + returns.HOLD)
    assert servers.may_return(backup, 200.0 + 2 * returns.HOLD)
    assert servers.left(servers.came_back(backup, 0.0), returns.LASTING).returns.failures == 0


class Gateway:
    """A gateway that is looked at every second; what works is said by the test."""

    def __init__(self) -> None:
        self.now, self.used, self.seen = 0.0, MODES[0], fall.Seen()

    def look(self, seconds: int, exhausted: bool = True, **works: bool) -> list[str]:
        """Return the modes that came into force."""
        found = []
        for _ in range(seconds):
            self.now += 1
            self.seen = fall.look(self.seen, works, self.now)
            chosen = fall.choose(MODES, self.used, self.seen, exhausted, self.now)
            if chosen != self.used:
                self.seen = fall.changed(self.seen, MODES, self.used, chosen, self.now)
                self.used = chosen
                found.append(chosen)
        return found


def test_the_next_mode_that_works_is_in_force_until_the_first_works_again() -> None:
    gateway = Gateway()
    assert gateway.look(100, combined=True, proxy=True) == []
    assert gateway.look(30, combined=False, proxy=True) == []
    assert gateway.look(1, combined=False, proxy=True) == ["proxy"]
    assert gateway.look(60, combined=True, proxy=True) == []
    assert gateway.look(1, combined=True, proxy=True) == ["combined"]


def test_a_mode_is_not_left_for_one_that_does_not_work_or_says_nothing() -> None:
    gateway = Gateway()
    assert gateway.look(400, combined=False, proxy=False) == []
    assert gateway.look(400, combined=False) == []


def test_websockets_have_their_tries_before_a_mode_is_left() -> None:
    gateway = Gateway()
    assert gateway.look(180, exhausted=False, combined=False, proxy=True) == []
    assert gateway.look(1, exhausted=False, combined=False, proxy=True) == ["proxy"]


def test_a_return_to_a_mode_that_did_not_last_makes_the_next_one_later() -> None:
    gateway = Gateway()
    gateway.look(40, combined=False, proxy=True)
    gateway.look(70, combined=True, proxy=True)
    gateway.look(40, combined=False, proxy=True)
    assert gateway.used == "proxy"
    assert gateway.look(120, combined=True, proxy=True) == []
    assert gateway.look(1, combined=True, proxy=True) == ["combined"]
