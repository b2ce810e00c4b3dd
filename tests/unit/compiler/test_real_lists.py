# SPDX-License-Identifier: GPL-3.0-or-later
"""Real, overlapping domain lists: every name is put into the sets of exactly the lists that hold it or a parent.

The lists (v2fly's format) are found through SPLITWAY_TEST_DATA; without it there is nothing to test.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from splitway.compiler import compile_state
from splitway.topology import parse

DATA = Path(os.environ.get("SPLITWAY_TEST_DATA", "/nonexistent")) / "v2fly-domain-list-community" / "data"
KEY = "A" * 42 + "E="

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPLITWAY_TEST_DATA names no lists")


def read_list(path: Path) -> list[str]:
    """Return the names of one list, without those that it includes from others."""
    names = []
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = line.partition("#")[0].split()
        kind, _, name = entry[0].rpartition(":") if entry else ("", "", "")
        if name and kind in ("", "domain", "full"):
            names.append(name)
    return names


@pytest.fixture(scope="module")
def lists() -> dict[str, list[str]]:
    found = {path.name.lower(): read_list(path) for path in sorted(DATA.iterdir())}
    return {name: names for name, names in found.items() if names}


@pytest.mark.parametrize("backend", ["ipset", "nftables"])
def test_names_reach_the_sets_of_their_lists(lists: dict[str, list[str]], backend: str) -> None:
    choose = random.Random(20260819)
    used = choose.sample(sorted(lists), 400)
    everything = "everything-of-google", sorted({name for key in lists if "google" in key for name in lists[key]})
    variables = {
        "splitway_server": {"addresses": ["10.8.0.1/16"]},
        "splitway_backend": backend,
        "splitway_upstreams": [{"name": "us", "endpoint": "198.51.100.1:51820", "public_key": KEY}],
        "splitway_lists": {
            **{name: {"domains": lists[name]} for name in used},
            everything[0]: {"domains": everything[1]},
        },
        "splitway_policies": {
            f"policy{number}": {"rules": [{"list": name, "egress": "us"} for name in choose.sample(used, 100)]}
            for number in range(40)
        }
        | {"all": {"rules": [{"list": name, "egress": "us"} for name in (*used, everything[0])]}},
        "splitway_clients": [
            {"name": f"client{number}", "addresses": [f"10.8.0.{number + 2}"], "policy": f"policy{number}"}
            for number in range(40)
        ]
        + [{"name": "everybody", "addresses": ["10.8.0.200"], "policy": "all"}],
    }
    started = time.process_time()
    topology = parse(variables)
    state = compile_state(topology, {})
    print(f"{len(state.dns.lines)} lines of {len(topology.lists)} lists in {time.process_time() - started:.2f} s")

    holders = {entry.name: frozenset(entry.domains) for entry in topology.lists}
    matched = {rule.sets[0]: None for rule in state.marks.v4.policies[-1].rules}
    assert len(matched) == len(holders)
    sets_of = dict(zip((*used, everything[0]), (frozenset(rule.sets) for rule in state.marks.v4.policies[-1].rules)))
    lines = {text.split("/")[1]: text.split("/", 2)[2] for text in state.dns.lines}
    known = sorted({name for domains in holders.values() for name in domains})
    asked = [choose.choice(("", "www.", "a.b.", "x")) + choose.choice(known) for _ in range(5000)]
    for name in asked:
        parents = [".".join(name.split(".")[index:]) for index in range(name.count(".") + 1)]
        expected = {key for key, domains in holders.items() if any(parent in domains for parent in parents)}
        line = next((lines[parent] for parent in parents if parent in lines), "")
        filled = {target.rsplit("#", 1)[-1] for target in line.split(",")}
        assert {key for key, sets in sets_of.items() if sets & filled} == expected, name
