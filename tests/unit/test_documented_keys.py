# SPDX-License-Identifier: GPL-3.0-or-later
"""The topology's documentation and its readers know the same variables and keys, and the example is right."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import splitway.topology
from ansible_collections.splitway.gateway.tests.unit.topology.samples import key
from splitway.topology import TopologyError, parse
from splitway.topology.exit_node import parse_exit
from splitway.topology.parse import VARIABLES

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "inventories" / "example"
PAGES = "\n".join((ROOT / "docs" / name).read_text() for name in ("topology.md", "pac.md"))
INDEX = (ROOT / "docs" / "topology.md").read_text().partition("## How a topology is checked")[0]
ELSEWHERE = ("SEED_RULE_KEYS",)  # of an older product: docs/import-export.md
IN_OTHERS = {"weight"}  # in the row of `members`
COMMENT = re.compile(r"^(\s*)# (\s*(?:- (?:\{|name: )\S.*|[a-z_0-9]+:(?: .*)?))$")
UNKNOWN = ("is not a list", "sources are read on the controller only", '"ca" is not an upstream')
"""What is wrong with all of the example's comments at once, here: no lists ship, and "ca" is only spoken of."""


def keys() -> list[tuple[str, str]]:
    """Return (reader, key) of all mappings of a topology."""
    found = []
    for module in pkgutil.iter_modules(splitway.topology.__path__):
        reader = importlib.import_module(f"splitway.topology.{module.name}")
        for name, value in vars(reader).items():
            if name.endswith("KEYS") and name not in ELSEWHERE:
                found += [(f"{module.name}.{name}", str(entry)) for entry in value]
    return found


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_variable_is_in_the_index(variable: str) -> None:
    assert f"`{variable}`" in INDEX


def test_each_key_has_a_row() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_0-9]+`(?:, )?)+)", PAGES, re.MULTILINE)
    documented = {word for row in rows for word in re.findall(r"`([a-z_0-9]+)`", row)}
    assert [entry for entry in keys() if entry[1] not in documented | IN_OTHERS] == []


def uncommented(path: Path) -> Any:
    """Return the example with all that stands in its comments, and keys in place of the vault's."""
    lines = [COMMENT.sub(r"\1\2", line) for line in path.read_text().splitlines()]
    text = re.sub(r"\{\{ vault_\w+_path \}\}", "a-long-random-word", "\n".join(lines))
    text = re.sub(r"\{\{ (vault_\w+) \}\}", lambda found: key(found[1]), text)
    return yaml.safe_load(text.replace("public_key: …", f'public_key: "{key("server")}"'))


def test_the_example_is_right_with_all_of_its_comments() -> None:
    with pytest.raises(TopologyError) as caught:
        parse(uncommented(EXAMPLE / "group_vars" / "splitway_gateways.yml"))
    problems = str(caught.value).splitlines()
    assert [problem for problem in problems if not problem.endswith(UNKNOWN)] == []
    exit_node = parse_exit(uncommented(EXAMPLE / "host_vars" / "us.yml"))
    assert exit_node.websocket is not None
