# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves, and the settings that they are cut by."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.rollout.settings import Gate, Settings, read_settings
from splitway.rollout.waves import cut
from splitway.topology import TopologyError

FLEET = tuple(f"gw{number}" for number in range(1, 26))
SIZES = st.one_of(st.integers(1, 200), st.integers(1, 100).map(lambda part: Fraction(part, 100)))


def sizes(*waves: Any, fleet: int = 25) -> list[int]:
    return [len(wave) for wave in cut(FLEET[:fleet], read_settings(list(waves) or None, None, None).waves)]


def test_the_usual_waves() -> None:
    assert sizes() == [1, 2, 22]
    assert sizes(fleet=6) == [1, 1, 4]
    assert sizes(fleet=1) == [1]
    assert sizes(fleet=0) == []


def test_the_last_size_is_that_of_all_that_follow() -> None:
    assert sizes(1, 5) == [1, 5, 5, 5, 5, 4]
    assert sizes("50%") == [12, 12, 1]


@given(st.integers(0, 60), st.lists(SIZES, min_size=1, max_size=6))
def test_each_gateway_is_in_one_wave_in_order(count: int, waves: list[Any]) -> None:
    gateways = [str(number) for number in range(count)]
    found = cut(gateways, waves)
    assert [name for wave in found for name in wave] == gateways
    assert all(found)


def test_settings_are_read() -> None:
    gate = {"timeout": "30s", "ignore_upstreams": ["ca"], "minimum_handshakes": 1, "canary": "probe"}
    found = read_settings([1, "25%"], {**gate, "commands": [["/bin/check", "--all"]]}, "90")
    assert found == Settings(
        (1, Fraction(1, 4)), Gate(30, ("ca",), 1.0, "probe", (("/bin/check", "--all"),)), confirm=90
    )


@pytest.mark.parametrize(
    ("waves", "gate", "confirm", "message"),
    [
        ([1, "0%"], None, None, 'splitway_rollout_waves[1]: "0%" is not the size of a wave'),
        ([0], None, None, "splitway_rollout_waves[0]: 0 is not the size of a wave"),
        ([1.5], None, None, "splitway_rollout_waves[0]: 1.5 is not the size of a wave"),
        ([True], None, None, "splitway_rollout_waves[0]: true is not the size of a wave"),
        ([], None, None, "splitway_rollout_waves: is empty"),
        ("all", None, None, 'splitway_rollout_waves: "all" is not a list'),
        (None, {"cannary": "x"}, None, 'splitway_gate.cannary: unknown key; did you mean "canary"?'),
        (None, {"minimum_handshakes": 80}, None, "splitway_gate.minimum_handshakes: 80 is not a share (0 to 1)"),
        (None, {"commands": ["true"]}, None, 'splitway_gate.commands[0]: "true" is not a list'),
        (None, {"commands": [[]]}, None, "splitway_gate.commands[0]: is empty"),
        (None, {"timeout": 0}, None, "splitway_gate.timeout: 0 is out of range"),
        (None, {"timeout": 115}, None, "splitway_gate.timeout: 115 leaves less than 10 of the 120 seconds"),
        (None, None, 0, "splitway_confirm_timeout: 0 is of no use for a rollout"),
        (None, None, "2m", 'splitway_confirm_timeout: "2m" is not a number of seconds (0-3600)'),
    ],
)
def test_what_is_wrong_is_named(waves: Any, gate: Any, confirm: Any, message: str) -> None:
    with pytest.raises(TopologyError) as error:
        read_settings(waves, gate, confirm)
    assert len(error.value.errors) == 1
    assert message in str(error.value)
