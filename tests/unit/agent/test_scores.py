# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of addresses: what makes one better, how it is forgotten, and that it is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.agent.names import score_file
from splitway.agent.names.scores import HALF_LIFE, PENALTY, PRIOR, UNKNOWN, Score, after, best, cost, reliability
from splitway.system import System

CONNECTS = st.one_of(st.none(), st.floats(0.0001, 2))
HISTORIES = st.lists(st.tuples(st.floats(0, 3600), CONNECTS), max_size=30)


def history(tries: list[tuple[float, float | None]]) -> tuple[Score, float]:
    """Return the score after tries, each some seconds after the one before, and the time of the last."""
    score, now = UNKNOWN, 1_000_000.0
    for passes, connect in tries:
        now += passes
        score = after(score, now, connect)
    return score, now


@given(HISTORIES)
def test_a_score_is_a_share_and_a_cost_is_a_time(tries: list[tuple[float, float | None]]) -> None:
    score, now = history(tries)
    assert 0 <= score.success <= 1
    assert 0 <= cost(score, now) <= PENALTY
    assert (score.failures == 0) == (not tries or tries[-1][1] is not None)


@given(HISTORIES, CONNECTS, CONNECTS)
def test_a_better_try_makes_no_worse_score(
    tries: list[tuple[float, float | None]], one: float | None, other: float | None
) -> None:
    score, now = history(tries)
    better, worse = sorted((one, other), key=lambda connect: PENALTY if connect is None else connect)
    assert cost(after(score, now, better), now) <= cost(after(score, now, worse), now) + 1e-9


@given(HISTORIES, st.floats(0, 100 * HALF_LIFE))
def test_what_was_long_ago_says_less(tries: list[tuple[float, float | None]], passes: float) -> None:
    score, now = history(tries)
    before, later = (abs(reliability(score, now + age) - PRIOR) for age in (0, passes))
    assert later <= before + 1e-9
    assert abs(reliability(score, now + 100 * HALF_LIFE) - PRIOR) < 1e-9


def test_one_that_often_fails_comes_after_one_that_is_slower() -> None:
    fast, _ = history([(10, None if number % 3 == 0 else 0.01) for number in range(1, 31)] + [(10, 0.01)])
    slow, now = history([(10, 0.2)] * 31)
    assert best(("192.0.2.1", "192.0.2.2"), {"192.0.2.1": fast, "192.0.2.2": slow}, now) == ("192.0.2.2", "192.0.2.1")


@given(st.dictionaries(st.sampled_from("abcdefgh"), HISTORIES, max_size=8), st.sampled_from("abcdefgh"))
def test_only_what_answered_last_is_served_the_best_first(
    histories: dict[str, list[tuple[float, float | None]]], first: str
) -> None:
    scores = {address: history(tries)[0] for address, tries in histories.items() if tries}
    now = max((score.tried for score in scores.values()), default=0.0)
    found = best("abcdefghi", scores, now)
    assert set(found) == {address for address, score in scores.items() if score.failures == 0}
    assert [cost(scores[address], now) for address in found] == sorted(cost(scores[address], now) for address in found)
    kept = best("abcdefghi", scores, now, first)
    assert set(kept) == set(found)
    assert kept[:1] in (found[:1], (first,))


def test_the_first_stays_until_another_is_clearly_better() -> None:
    scores = {"a": Score(1, 0.020, 0), "b": Score(1, 0.015, 0), "c": Score(1, 0.500, 0), "d": Score(1, 0.3, 0, 1)}
    assert best("abcd", scores, 0) == ("b", "a", "c")
    assert best("abcd", scores, 0, "a") == ("a", "b", "c")
    assert best("abcd", scores, 0, "c") == ("b", "a", "c")
    assert best("abcd", scores, 0, "d") == ("b", "a", "c"), "it does not answer"
    assert best("abc", scores, 0, handicap=lambda address: 0.1 * (address == "b")) == ("a", "b", "c")


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(data=tmp_path / "data")


@given(st.dictionaries(st.tuples(st.integers(0, 8191), st.ip_addresses().map(str)), HISTORIES, max_size=20))
def test_scores_survive(tmp_path_factory: pytest.TempPathFactory, histories: dict[tuple[int, str], list]) -> None:  # type: ignore[type-arg]
    system = System(data=tmp_path_factory.mktemp("data"))
    scores = {key: history(tries)[0] for key, tries in histories.items() if tries}
    now = max((score.tried for score in scores.values()), default=0.0)
    score_file.save(system, score_file.worth_keeping(scores, now))
    found = score_file.load(system)
    young = {key: score for key, score in scores.items() if now - score.tried < score_file.LONGEST}
    assert found.keys() == young.keys()
    for key, score in young.items():
        assert cost(found[key], now) == pytest.approx(cost(score, now), abs=0.001)
        assert found[key].failures == score.failures


def test_only_the_latest_of_very_many_are_kept(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_file, "MOST", 10)
    scores = {(0, f"192.0.2.{number}"): Score(1, 0.1, 1000.0 + number) for number in range(100)}
    score_file.save(system, score_file.worth_keeping(scores, 1100))
    assert {address for _, address in score_file.load(system)} == {f"192.0.2.{number}" for number in range(90, 100)}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 2, "scores": []}', '{"version": 1, "scores": [[1]]}', '{"version": 1}']
)
def test_a_damaged_file_is_told(system: System, text: str) -> None:
    assert score_file.load(system) == {}
    score_file.location(system).parent.mkdir()
    score_file.location(system).write_text(text)
    with pytest.raises(score_file.Damaged, match=r"scores\.json"):
        score_file.load(system)
    score_file.save(system, {(0, "192.0.2.1"): Score(1, 0.1, 5.0)})
    assert json.loads(score_file.location(system).read_text())["scores"] == [[0, "192.0.2.1", 1, 0.1, 5, 0]]
