# SPDX-License-Identifier: GPL-3.0-or-later
"""Totals by client and way from flows that live and end: against a plain model, in every order."""

from __future__ import annotations

import socket
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from splitway.agent.figures.flow_bytes import FlowBytes
from splitway.agent.figures.traffic import Names, Totals, names
from splitway.state import Device, Egress, FamilyMarks, Marks, Peer, State, mark_of

MASK = 0x3FFF
STATE = State(
    server=Device(
        "server",
        "wg0",
        None,
        (),
        (
            Peer("alice", "A", ("10.8.0.2/32", "fd00::2/128", "192.168.7.0/24")),
            Peer("bob", "B", ("10.8.0.3",)),
        ),
    ),
    upstreams=(Device("us", "wg-up-1", None, (), ()),),
    marks=Marks(
        "wg0",
        "wg-up-",
        MASK,
        (
            Egress(0, "direct"),
            Egress(99, "block"),
            Egress(101, "us", "wg-up-1"),
            Egress(105, "video"),
            Egress(106, "video/us", "wg-up-1"),
            Egress(107, "eu", None, direct=True),
        ),
        FamilyMarks(),
        FamilyMarks(),
    ),
)


def flow(address: str, number: int, count: int) -> FlowBytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return FlowBytes(socket.inet_pton(family, address), mark_of(number, MASK) | 0x10000, count)


def test_flows_are_named_by_client_and_by_the_upstream_that_carries_them() -> None:
    known = names(STATE)
    assert known is not None
    flows = [
        flow("10.8.0.2", 101, 1),
        flow("fd00::2", 106, 2),
        flow("10.8.0.3", 0, 4),
        flow("10.8.0.3", 107, 8),
        flow("10.8.0.2", 105, 16),
        flow("10.8.0.9", 101, 32),
        flow("10.8.0.2", 111, 64),
    ]
    assert Totals().sum(flows, known, 0) == {
        ("alice", "us"): 3,
        ("bob", "direct"): 12,
        ("alice", "video"): 16,
    }


def test_no_names_where_nothing_is_classified() -> None:
    assert names(State()) is None


class Accounting(RuleBasedStateMachine):
    """Flows come, move bytes, end; events come at once, late, or never; dumps at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.totals = Totals()
        self.living: dict[int, int] = {}
        self.unheard: list[int] = []
        self.late = False
        self.moved = 0
        self.told = 0
        self.known = Names({b"a": "alice"}, {mark_of(101, MASK): "us"}, MASK)
        self.number = 0
        self.now = 0.0

    def _flow(self, count: int) -> FlowBytes:
        return FlowBytes(b"a", mark_of(101, MASK), count)

    @rule(count=st.integers(1, 100))
    def begin(self, count: int) -> None:
        self.number += 1
        self.living[self.number] = count
        self.moved += count

    @rule(count=st.integers(1, 100), data=st.data())
    def move(self, count: int, data: st.DataObject) -> None:
        if self.living:
            self.living[data.draw(st.sampled_from(sorted(self.living)))] += count
            self.moved += count

    @rule(data=st.data(), heard=st.booleans())
    def end(self, data: st.DataObject, heard: bool) -> None:
        if self.living:
            count = self.living.pop(data.draw(st.sampled_from(sorted(self.living))))
            if heard:
                self.totals.end([self._flow(count)], self.known)
            else:
                self.unheard.append(count)

    @rule()
    def hear(self) -> None:
        self.totals.end(map(self._flow, self.unheard), self.known)
        self.unheard.clear()

    def _sum(self) -> int:
        found = self.totals.sum(map(self._flow, self.living.values()), self.known, self.now)
        return Counter(found)["alice", "us"]

    @rule(seconds=st.integers(0, 60))
    def tell(self, seconds: int) -> None:
        # The kernel tells of each end within two looks.
        self.now += seconds
        if self.late:
            self.hear()
        self.late = bool(self.unheard)
        told = self._sum()
        assert self.told <= told <= self.moved, "totals never fall, and never count twice"
        assert self.unheard or told == self.moved
        self.told = told

    @invariant()
    def nothing_is_invented(self) -> None:
        assert sum(self.living.values()) + sum(self.unheard) <= self.moved


TestAccounting = Accounting.TestCase


def test_what_ended_unseen_stays_counted() -> None:
    known = Names({b"a": "alice"}, {mark_of(101, MASK): "us"}, MASK)
    totals = Totals()

    def told(now: float, *counts: int) -> int:
        flows = [FlowBytes(b"a", mark_of(101, MASK), count) for count in counts]
        return totals.sum(flows, known, now)["alice", "us"]

    assert told(0, 1000) == 1000
    assert told(60) == 1000, "it ended; its event may be under way"
    assert told(120, 5) == 1000
    assert told(360, 5) == 1000
    assert told(420, 25) == 1020, "its event was lost: its bytes stay, and new ones count at once"


def test_a_client_that_is_gone_is_forgotten() -> None:
    totals = Totals()
    mark = mark_of(101, MASK)
    before = Names({b"a": "alice", b"b": "bob"}, {mark: "us"}, MASK)
    totals.end([FlowBytes(b"a", mark, 7), FlowBytes(b"b", mark, 9)], before)
    assert len(totals.sum([], before, 0)) == 2
    assert totals.sum([], Names({b"b": "bob"}, {mark: "us"}, MASK), 0) == {("bob", "us"): 9}
