# SPDX-License-Identifier: GPL-3.0-or-later
"""A wave's judgement, and what is reported of each gateway."""

from __future__ import annotations

from splitway.rollout.report import Finding, Outcome, Rollout, judge, lines, outcome, to_plain

WAVES = (("gw1",), ("gw2", "gw3"), ("gw4",))


def ended(findings: dict[str, Finding]) -> Rollout:
    """Return the rollout whose second wave ended with these findings."""
    bad = judge(findings)
    outcomes = {name: outcome(name, finding, bad) for name, finding in findings.items()}
    return Rollout(WAVES, ("gw0",), {"gw1": Outcome("confirmed"), **outcomes}, 2)


def test_a_good_wave_goes_on() -> None:
    rollout = ended({name: Finding(confirmed=True) for name in WAVES[1]})
    assert not rollout.bad
    assert rollout.result == "under way"
    assert list(lines(rollout)) == [
        "wave 2 of 3",
        "there already: gw0",
        "confirmed: gw1, gw2, gw3",
        "untouched: gw4",
    ]


def test_one_that_fails_takes_its_wave_along() -> None:
    rollout = ended({"gw2": Finding(missing="upstream us is down", rolled_back=True), "gw3": Finding(rolled_back=True)})
    assert rollout.bad
    assert list(lines(rollout)) == [
        "stopped at wave 2 of 3",
        "there already: gw0",
        "confirmed: gw1",
        "rolled back: gw2: upstream us is down",
        "rolled back: gw3: its wave is stopped by gw2",
        "untouched: gw4",
    ]


def test_one_that_is_lost_goes_back_by_itself() -> None:
    rollout = ended({"gw2": Finding(lost=True), "gw3": Finding(rolled_back=True)})
    assert to_plain(rollout) == {
        "result": "stopped",
        "wave": 2,
        "waves": [["gw1"], ["gw2", "gw3"], ["gw4"]],
        "gateways": {
            "gw0": {"wave": None, "state": "there already", "why": ""},
            "gw1": {"wave": 1, "state": "confirmed", "why": ""},
            "gw2": {
                "wave": 2,
                "state": "lost",
                "why": "the controller does not reach it any more; not confirmed, it goes back by itself",
            },
            "gw3": {"wave": 2, "state": "rolled back", "why": "its wave is stopped by gw2"},
            "gw4": {"wave": 3, "state": "untouched", "why": ""},
        },
    }


def test_one_that_fails_before_it_begins_is_untouched() -> None:
    rollout = ended({"gw2": Finding(begun=False, gone=True), "gw3": Finding(rolled_back=True)})
    assert rollout.outcomes["gw2"] == Outcome("untouched", "it failed, or was lost, on its way: see its tasks")
    assert rollout.result == "stopped"


def test_a_confirmation_that_does_not_come_through_stops_the_rollout() -> None:
    rollout = ended({"gw2": Finding(late="run 4f0c was not confirmed in time"), "gw3": Finding()})
    assert rollout.bad
    assert rollout.outcomes["gw2"] == Outcome("rolled back", "run 4f0c was not confirmed in time")
    assert rollout.outcomes["gw3"] == Outcome(
        "lost", "it did not answer the confirmation; not confirmed, it goes back by itself"
    )


def test_a_plan_shows_its_waves() -> None:
    assert list(lines(Rollout(WAVES, ("gw0",)))) == [
        "wave 1: gw1",
        "wave 2: gw2, gw3",
        "wave 3: gw4",
        "there already: gw0",
    ]
    assert list(lines(Rollout((), ("gw0", "gw1")))) == [
        "nothing to do: every gateway has this inventory's generation",
        "there already: gw0, gw1",
    ]


def test_the_last_wave_ends_the_rollout() -> None:
    done = Rollout(WAVES, (), {name: Outcome("confirmed") for wave in WAVES for name in wave}, 3)
    assert (done.bad, done.result) == (False, "done")
    assert Rollout((), ("gw0",)).result == "done"
