# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a gateway from being confirmed, from two looks at it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from splitway.rollout.gate import Heard, Look, Tunnel, missing
from splitway.rollout.settings import Gate

BEFORE = Look(
    taken=1000.0,
    agent=True,
    current=True,
    failures={"dns": "port 53 is taken"},
    upstreams={"us": Tunnel("up", answered=True), "eu": Tunnel("down", answered=False, why="no target answers")},
    clients={"alice": Heard(950.0, 5000), "bob": Heard(900.0, 300)},
    names=True,
)
USUAL = Gate()
AFTER = dataclasses.replace(BEFORE, taken=1030.0)


def left(before: Look = BEFORE, first: Look = AFTER, wishes: Gate = USUAL, **changes: Any) -> tuple[str, ...]:
    """Return what is missing of a gateway that is as before but for these changes."""
    return missing(before, first, dataclasses.replace(AFTER, **changes), wishes)


def test_what_was_broken_before_may_stay_so() -> None:
    assert left() == ()


def test_an_agent_that_does_not_answer_is_all_that_is_said() -> None:
    assert left(agent=False, upstreams={}) == ("the agent does not answer: see journalctl -u splitway",)
    assert left(current=False) == ("the agent does not go by the new generation yet",)


def test_a_section_that_fails_now() -> None:
    assert left(failures={"dns": "port 53 is taken", "routes": "table 101 is somebody's"}) == (
        "routes: table 101 is somebody's",
    )


def test_dnsmasq() -> None:
    assert left(names=False) == ("dnsmasq does not answer any more",)
    assert left(before=dataclasses.replace(BEFORE, names=False), names=False) == ()


@pytest.mark.parametrize(
    ("tunnel", "why"),
    [
        (Tunnel("up", answered=False), "upstream us: nobody answers through it"),
        (Tunnel("unknown", answered=False, why="no reply"), "upstream us: nobody answers through it (no reply)"),
        (Tunnel("down", answered=False, why="no handshake"), "upstream us is down (no handshake)"),
        (Tunnel("down", answered=True), "upstream us is down"),  # the agent sees it within some rounds
    ],
)
def test_an_upstream_that_was_up(tunnel: Tunnel, why: str) -> None:
    assert left(upstreams={"us": tunnel}) == (why,)
    assert left(upstreams={"us": tunnel}, wishes=Gate(ignore_upstreams=("us",))) == ()


def test_a_new_upstream_must_come_up() -> None:
    new = {**AFTER.upstreams, "ca": Tunnel("unknown", answered=False)}
    assert left(upstreams=new) == ("new upstream ca: nobody answers through it",)
    assert left(upstreams={**AFTER.upstreams, "ca": Tunnel("unknown", answered=True)}) == ()


def test_an_upstream_whose_targets_never_answered_is_what_the_agent_says() -> None:
    before = dataclasses.replace(BEFORE, upstreams={"us": Tunnel("up", answered=False)})
    assert left(before=before, upstreams={"us": Tunnel("up", answered=False)}) == ()
    assert left(before=before, upstreams={"us": Tunnel("unknown", answered=False)}) == (
        "upstream us is unknown, and was up",
    )


def test_an_upstream_that_is_no_more_is_not_missed() -> None:
    assert left(upstreams={}) == ()


def test_clients_that_have_lost_their_tunnel() -> None:
    """A peer that was made anew has no handshake until the next one."""
    lost = {"alice": Heard(None, 0), "bob": Heard(900.0, 300)}
    assert left(clients=lost) == ("1 of 2 connected clients have lost their tunnel: alice",)
    assert left(clients=lost, wishes=Gate(minimum_handshakes=0.5)) == ()
    assert left(clients={**lost, "alice": Heard(1031.0, 100)}) == ()


def test_a_client_that_was_removed_is_not_lost() -> None:
    assert left(clients={"bob": Heard(900.0, 300)}) == ()


def test_a_share_is_exact() -> None:
    """0.8 of 5 is 4, whatever floating-point numbers make of it."""
    before = dataclasses.replace(BEFORE, clients={f"c{number}": Heard(990.0) for number in range(5)})
    there = {**before.clients, "c0": Heard(None)}
    assert left(before=before, clients=there) == ()
    assert len(left(before=before, clients={**there, "c1": Heard(None)})) == 1


def test_clients_that_are_not_heard_any_more() -> None:
    """They keep their handshakes, and nothing of theirs arrives: wg0 listens at another port now."""
    first = dataclasses.replace(AFTER, clients={"alice": Heard(950.0, 5400), "bob": Heard(900.0, 300)})
    silent = "nothing comes from clients any more that sent something until now: alice"
    assert left(first=first, clients=dict(first.clients)) == (silent,)
    assert left(first=first, clients={**first.clients, "bob": Heard(900.0, 400)}) == (silent,)
    assert left(first=first, clients={**first.clients, "alice": Heard(950.0, 5401)}) == ()


def test_a_canary_has_to_shake_hands_after_the_change() -> None:
    wishes = Gate(canary="bob")
    assert left(wishes=wishes) == ("the canary bob has had no handshake since the change",)
    assert left(wishes=wishes, clients={**AFTER.clients, "bob": Heard(1031.0, 500)}) == ()
    assert left(wishes=Gate(canary="zoe")) == ("splitway_gate.canary: zoe is none of this gateway's clients",)


def test_of_many_clients_some_are_named() -> None:
    before = dataclasses.replace(BEFORE, clients={f"c{number:02}": Heard(990.0) for number in range(50)})
    (line,) = left(before=before, clients={name: Heard(None) for name in before.clients})
    assert line.startswith("50 of 50 connected clients have lost their tunnel: c00, c01")
    assert line.endswith("c09 and 40 more")
