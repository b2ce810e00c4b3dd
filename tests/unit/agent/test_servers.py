# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom to ask next, in a time of the tests' own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from splitway.agent.names.servers import DEAD, Memory, Server, server

A, B, C = (Server(f"192.0.2.{number}") for number in (1, 2, 3))


def test_a_resolver_is_written_as_dnsmasq_writes_it() -> None:
    assert server("192.0.2.1") == Server("192.0.2.1", 53, "")
    assert server("2001:db8::1#5353@wg-up-1") == Server("2001:db8::1", 5353, "wg-up-1")


def test_questions_are_shared_and_the_faster_gets_more() -> None:
    memory = Memory()
    for _ in range(30):
        chosen = memory.choose((A, B, C), (), 0.0)
        assert chosen is not None
        memory.sent(chosen)
    assert {memory.records[entry].waiting for entry in (A, B, C)} == {10}
    for entry, took in ((A, 0.01), (B, 0.1)):
        memory.done(entry, 1.0, took, good=True)
    assert memory.choose((A, B, C), (), 1.0) == A


def test_a_dead_one_is_asked_by_one_question_after_a_while_and_by_all_once_it_answers() -> None:
    memory = Memory()
    for entry in (A, B):
        memory.sent(entry)
    memory.done(B, 0.1, 0.1, good=True)
    assert memory.silent(A, 2.0, asked=0.0)
    memory.done(A, 2.0, None, good=False)
    assert memory.dead(2.0) == {A}
    assert {memory.choose((A, B), (), 2.0 + after) for after in (0, DEAD / 2, DEAD - 1)} == {B}
    assert memory.choose((A, B), (), 2.0 + DEAD) == A
    memory.sent(A)
    assert memory.choose((A, B), (), 2.0 + DEAD) == B
    memory.done(A, 2.1 + DEAD, 0.001, good=True)
    assert memory.dead(2.1 + DEAD) == frozenset()
    assert memory.choose((A, B), (), 2.1 + DEAD) == A


def test_a_lost_question_is_no_death() -> None:
    memory = Memory()
    memory.sent(A)
    memory.sent(A)
    memory.done(A, 1.0, 0.1, good=True)
    assert not memory.silent(A, 2.0, asked=0.0)
    assert memory.silent(A, 4.0, asked=2.0)


def test_a_refusal_is_no_answer_and_another_is_asked() -> None:
    memory = Memory()
    memory.sent(A)
    memory.done(A, 0.0, 0.001, good=False)
    assert memory.choose((A, B), (A,), 0.0) == B
    assert memory.choose((A, B), (), 0.0) == B, "it costs more than one that is only slow"
    assert memory.choose((A,), (A,), 0.0) == A


@given(st.lists(st.tuples(st.sampled_from((A, B, C)), st.booleans(), st.floats(0, 5)), max_size=40))
def test_somebody_is_always_asked_unless_all_are_dead_and_being_tried(events: list[tuple[Server, bool, float]]) -> None:
    memory, now = Memory(), 0.0
    for entry, answers, passes in events:
        now += passes
        chosen = memory.choose((A, B, C), (), now)
        assert chosen is not None, "nothing waits"
        memory.sent(entry)
        if not answers:
            memory.silent(entry, now, now)
        memory.done(entry, now, 0.1 if answers else None, answers)
    alive = {entry for entry in (A, B, C) if entry not in memory.records or memory.records[entry].alive}
    for entry in (A, B, C):
        memory.sent(entry)
    assert memory.choose((A, B, C), (), now) in (alive or {None})
