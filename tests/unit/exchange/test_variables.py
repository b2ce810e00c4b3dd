# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of variables that people wrote: what we change of it, and what stays to the letter."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from splitway.exchange import VariablesError, read_variables, replaced
from splitway.exchange.yaml_text import variable_text

NEW = {"splitway_clients": [{"name": "alice", "addresses": ["10.8.0.2", "fd00::2"]}]}
LINES = 'splitway_clients:\n  - {name: alice, addresses: [10.8.0.2, "fd00::2"]}\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"---\n{LINES}"),
        ("{}\n", f"\n{LINES}"),
        ("---\n# nothing yet\n", f"---\n# nothing yet\n\n{LINES}"),
        ("a: 1", f"a: 1\n\n{LINES}"),
        ("a: 1\n...\n", f"a: 1\n\n{LINES}...\n"),
        ("splitway_clients: []\na: 1\n", f"{LINES}a: 1\n"),
        ("splitway_clients: # none\n\n# of b\nb: {x: !vault y}\n", f"{LINES}\n# of b\nb: {{x: !vault y}}\n"),
        ("splitway_clients:\n- name: a\n  # of a\n\n\n# the end\n", f"{LINES}\n\n# the end\n"),
        ('splitway_clients: "{{ a +\n\n  b }}"\nb: 1\n', f"{LINES}b: 1\n"),
        ("splitway_clients: [\n]\r\nb: |\r\n  # text\r\n", f"{LINES}b: |\r\n  # text\r\n"),
        ("# \u2028# one\nsplitway_clients: {}\nb: 1\n", f"# \u2028# one\n{LINES}b: 1\n"),
        ("\ufeffsplitway_lists: {}\nsplitway_clients: 7\n", f"\ufeffsplitway_lists: {{}}\n{LINES}"),
    ],
)
def test_only_what_changes_is_written_anew(before: str, after: str) -> None:
    text = replaced(read_variables(before), NEW)
    assert text == after
    assert replaced(read_variables(text), NEW) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("$ANSIBLE_VAULT;1.1;AES256\n61\n", "encrypted as a whole"),
        ("- a\n", "not a mapping of variables"),
        ("{a: 1}\n", "not a mapping of variables"),
        ("a: [\n", "not YAML: line 2"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("splitway_clients: []\nsplitway_clients: []\n", "has splitway_clients twice"),
        ("splitway_clients: &all []\nsplitway_lan_clients: *all\n", "cannot be changed one by one|not YAML"),
        ("a: !mine {b: 1}\n", "has a tag !mine on something that is no text"),
    ],
)
def test_what_cannot_be_changed_line_by_line_is_said(text: str, problem: str) -> None:
    with pytest.raises(VariablesError, match=problem):
        replaced(read_variables(text), NEW)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10) | st.sampled_from(
    ["no", "1e3", "0x1f", "12:30", "2026-11-22", "~", "null", "a: b", "#x", "10.8.0.2", "::1", "<<", "=", "- a", "'"]
)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_yaml_reads_what_was_written(value: Any) -> None:
    assert repr(yaml.safe_load(variable_text("it", value))) == repr({"it": value})
