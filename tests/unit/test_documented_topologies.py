# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each topology that a document shows has keys that there are. It may be a part of one, so nothing else is judged."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from ansible_collections.splitway.gateway.tests.documents.blocks import Block, blocks, is_yaml, pages
from splitway.topology import TopologyError, parse
from splitway.topology.exit_node import parse_exit
from splitway.topology.parse import VARIABLES

UNKNOWN = ": unknown (key|variable)"


def shown(block: Block) -> dict[str, Any]:
    """Return the variables that a block shows; what it leaves out by `…` is left out."""
    found = [value for value in yaml.safe_load_all(block.text.replace(", …}", "}")) if isinstance(value, dict)]
    return {name: value for entry in found for name, value in entry.items() if str(name).startswith("splitway_")}


SHOWN = [(block, shown(block)) for page in pages() for block in blocks(page) if is_yaml(block)]
TOPOLOGIES = [
    pytest.param(found, id=str(block)) for block, found in SHOWN if set(found) & {*VARIABLES, "splitway_exit"}
]


def problems(variables: dict[str, Any]) -> list[str]:
    """Return all that the readers have to say of these variables."""
    said = []
    for reader, name in ((parse, None), (parse_exit, "splitway_exit")):
        if name is None or name in variables:
            try:
                reader({key: value for key, value in variables.items() if (key == "splitway_exit") == bool(name)})
            except TopologyError as error:
                said += str(error).splitlines()
    return said


@pytest.mark.parametrize("variables", TOPOLOGIES)
def test_it_has_keys_that_there_are(variables: dict[str, Any]) -> None:
    assert [problem for problem in problems(variables) if re.search(UNKNOWN, problem)] == []


def test_a_wrong_key_would_be_seen() -> None:
    said = problems({"splitway_dns_guard": {"dns_over_tls": "block"}})
    assert [line.partition(";")[0] for line in said if re.search(UNKNOWN, line)] == [
        "splitway_dns_guard.dns_over_tls: unknown key"
    ]
