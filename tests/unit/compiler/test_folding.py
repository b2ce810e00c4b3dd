# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers as they are kept: nothing is lost by folding, and many owners with the same names cost little."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from splitway.compiler import compile_state
from splitway.compiler.folding import fold, unfold
from splitway.topology import parse

KEYS = st.one_of(
    st.builds(
        "set:{}/{}/{}/{}".format,
        st.sampled_from(("client", "policy")),
        st.sampled_from(("alice", "bob", "a/b", "*")),
        st.sampled_from(("us", "eu", "*")),
        st.sampled_from(("a.example", "b.example", "c.example")),
    ),
    st.sampled_from(("egress:us", "policy:client/alice", "set:list/names", "set:rules/12", "set:name/a.example")),
)


@given(st.dictionaries(KEYS, st.integers(1, 3)))
def test_unfolding_gives_everything_back(numbers: dict[str, int]) -> None:
    folded = fold(numbers)
    assert unfold(folded) == numbers
    assert unfold(numbers) == numbers, "an earlier engine's are not folded"
    assert fold(unfold(folded)) == folded


def variables(clients: int) -> dict[str, Any]:
    rules = [{"domain": f"name{index}.example", "egress": "us"} for index in range(20)]
    return {
        "splitway_server": {"listen_port": 51820, "addresses": ["10.8.0.1/16"]},
        "splitway_upstreams": [
            {
                "name": "us",
                "endpoint": "198.51.100.1:51820",
                "public_key": "7Ea2HkYCLJHnJXEiXBJiaVKuAaBzAZiHWaV/CGPN0XY=",
            }
        ],
        "splitway_clients": [
            {"name": f"client{index}", "addresses": [f"10.8.{index // 200}.{index % 200 + 2}"], "rules": rules}
            for index in range(clients)
        ],
    }


def test_clients_with_the_same_rules_share_their_keys() -> None:
    numbers = compile_state(parse(variables(1000)), {}).numbers
    assert len(numbers) < 2100
    assert len(json.dumps(numbers)) < 120_000


def test_numbers_of_an_earlier_engine_stay_what_they_are() -> None:
    """Also when one of the clients has other rules from now on: the names that it keeps are in its set still."""
    first = compile_state(parse(variables(5)), {})
    changed = variables(5)
    changed["splitway_clients"][3]["rules"] = changed["splitway_clients"][3]["rules"][:7]
    by_folded = compile_state(parse(changed), first.numbers)
    assert compile_state(parse(changed), unfold(first.numbers)) == by_folded
    assert {entry.name for entry in first.sets if entry.timeout} <= {entry.name for entry in by_folded.sets}
    new = next(entry for entry in by_folded.sets if entry.timeout and entry not in first.sets)
    assert new.seed_from in {entry.name for entry in first.sets}
