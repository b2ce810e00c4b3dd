# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted of a WebSocket's connections."""

from __future__ import annotations

from splitway.agent.figures.tcp_connections import Connection
from splitway.agent.transports.carriers import Counted, count


def connection(inode: int, sent: int = 0, segments: int = 0, again: int = 0, rtt: float = 0.02) -> Connection:
    return Connection(inode, 40000 + inode, "192.0.2.1", rtt, segments, again, sent, 0)


def counted(*looks: list[Connection]) -> Counted:
    found = Counted()
    for look in looks:
        found = count(found, look)
    return found


def test_bytes_of_all_connections_are_counted_once() -> None:
    found = counted([connection(1, 100), connection(2, 10)], [connection(1, 150)], [connection(3, 5)], [])
    assert (found.sent, found.received) == (165, 0)


def test_another_connection_in_the_place_of_the_one_that_carried_is_a_reconnection() -> None:
    assert counted([connection(1, 100)], [connection(1, 200), connection(2, 9)]).reconnects == 0
    assert counted([connection(1, 100), connection(2)], [connection(2, 50)]).reconnects == 1
    assert counted([connection(1, 100)], [], [], [connection(2, 50)]).reconnects == 1
    assert counted([connection(1, 100)], [], [connection(2, 50)], [connection(2, 90)]).reconnects == 1


def test_connections_kept_ready_come_and_go() -> None:
    looks = [[connection(1, 100 * at), connection(at, 40)] for at in range(2, 9)]
    assert counted(*looks).reconnects == 0


def test_round_trip_and_loss_are_those_of_what_carries() -> None:
    found = counted([connection(1, 100, rtt=0.3), connection(2, 5000, segments=100, again=4, rtt=0.05)])
    assert found.rtt == 0.05
    assert found.loss == 0.04
    assert counted([connection(1, 10, segments=3, again=1)]).loss is None, "of so few it says nothing"
