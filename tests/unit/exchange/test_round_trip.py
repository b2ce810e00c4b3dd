# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes out comes in again: the same values of the same types, by either format, into any file."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.exchange.topologies import SERVER, topologies
from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT
from ansible_collections.splitway.gateway.tests.unit.topology.samples import key as made_key
from splitway.exchange import exported, import_files, read_variables, replaced
from splitway.exchange.cells import read_cell, write_cell
from splitway.exchange.kinds import KINDS, SECRETS
from splitway.exchange.unread import UnreadLists
from splitway.topology import parse

FORMATS = ("csv", "json")


def imported(files: dict[str, str], variables: dict[str, Any], text: str) -> str:
    """Return the text of a file of variables after an import of which everything is taken."""
    contents = {name: content.encode() for name, content in files.items()}
    outcome = import_files(contents, variables, read_variables(text), partial=False)
    assert not outcome.refused, outcome.refused
    return replaced(read_variables(text), outcome.values)


def comparable(variables: dict[str, Any]) -> str:
    """Return the exchanged variables, 1 told from True; an empty one, and an empty part of a list, is none."""
    values = {kind.variable: variables.get(kind.variable) or None for kind in KINDS}
    for name in ("splitway_lists", "splitway_policies"):
        if values[name]:
            values[name] = {
                key: {part: value for part, value in (entry or {}).items() if value not in (None, [])}
                for key, entry in values[name].items()
            }
    return json.dumps([values, [list(value or ()) for value in values.values()]], sort_keys=True)


@settings(max_examples=150)
@given(topologies(), st.sampled_from(FORMATS))
def test_a_topology_goes_out_and_in_without_loss(variables: dict[str, Any], form: str) -> None:
    files = exported(variables, form, secrets=True)
    text = imported(files, {"splitway_server": SERVER}, "")
    found = {"splitway_server": SERVER, **(yaml.safe_load(text) or {})}
    assert comparable(found) == comparable(variables)
    assert parse(found, UnreadLists()) == parse(variables, UnreadLists())
    assert exported(found, form, secrets=True) == files


@settings(max_examples=100)
@given(topologies(), st.sampled_from(FORMATS), st.booleans())
def test_an_export_that_nobody_touched_changes_nothing(variables: dict[str, Any], form: str, secrets: bool) -> None:
    text = f"# ours\n{yaml.safe_dump(variables, sort_keys=False)}# the end\n"
    assert imported(exported(variables, form, secrets=secrets), variables, text) == text


@given(topologies(), st.sampled_from(FORMATS))
def test_no_key_leaves_unless_asked(variables: dict[str, Any], form: str) -> None:
    text = "".join(exported(variables, form, secrets=False).values())
    entries = [*variables["splitway_upstreams"], *variables["splitway_clients"]]
    assert not any(entry[key] in text for entry in entries for key in SECRETS if entry.get(key))
    assert not any(key in text for key in SECRETS)


@pytest.mark.parametrize("form", FORMATS)
def test_a_websocket_leaves_when_it_is_asked_for_and_comes_in_again(form: str) -> None:
    websocket = {"server": "wss://exit.example.net", "path": "a-path-that-is-a-secret", "ping": 20}
    upstream = {**RIGHT["splitway_upstreams"][0], "transport": "auto", "websocket": websocket}
    variables = {**RIGHT, "splitway_upstreams": [upstream, *RIGHT["splitway_upstreams"][1:]]}
    text = yaml.safe_dump(variables, sort_keys=False)
    bare, whole = (exported(variables, form, secrets=secrets) for secrets in (False, True))
    assert websocket["path"] not in "".join(bare.values())
    assert imported(bare, variables, text) == text
    assert imported(whole, variables, text) == text
    found = yaml.safe_load(imported(whole, {"splitway_server": RIGHT["splitway_server"]}, ""))
    assert found["splitway_upstreams"][0]["websocket"] == websocket


def inventory(name: str) -> dict[str, Any]:
    """Return the gateway's variables of an inventory, with something in place of its templates."""
    path = Path(__file__).parents[3] / "inventories" / name / "group_vars" / "splitway_gateways.yml"
    variables = yaml.safe_load(path.read_text(encoding="utf-8"))
    right = RIGHT["splitway_upstreams"][0]
    for index, entry in enumerate((*variables["splitway_upstreams"], *variables["splitway_clients"])):
        for key, value in entry.items():
            if isinstance(value, str) and "{{" in value:
                known = {"endpoint": f"us{index}.example.com:51820", "public_key": right["public_key"]}
                entry[key] = known.get(key, RIGHT["splitway_server"]["private_key"][:-4] + f"{index:02}A=")
    plain = {"splitway_server": RIGHT["splitway_server"], "splitway_backend": "ipset"}
    return {**variables, **plain, "splitway_dns": {}, "splitway_countries": {}}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("variables", [RIGHT, inventory("lab"), inventory("example")], ids=["right", "lab", "example"])
def test_the_topologies_of_the_project_go_out_and_in(variables: dict[str, Any], form: str) -> None:
    server = {"splitway_server": variables["splitway_server"]}
    variables = {**variables, "splitway_server": {**server["splitway_server"], "addresses": ["10.8.0.1/24"]}}
    variables["splitway_server"]["addresses"].append("fdcc:ad94:bacf:61a4::1/64")
    variables["splitway_clients"] = [
        {**client, "addresses": [address for address in client["addresses"] if not address.startswith("fd3c")]}
        for client in variables["splitway_clients"]
    ]
    files = exported(variables, form, secrets=True)
    found = yaml.safe_load(imported(files, {"splitway_server": variables["splitway_server"]}, ""))
    assert comparable(found) == comparable(variables)


FORMULAS = ["=1+1", "+49", "-1", "@x", "\t=1", "\r\n", "'=x", "'x"]
LIKE_JSON = ['"', '"a"', "1", "true", "TRUE", "1e5", "NaN", "[1]", "{", "null", "1" * 5000]
ODD = ["a,b", "a;b", "a b", " a", "é", "\ud800", "\u2028", "\x00", "９"]
TEXTS = st.text(max_size=12) | st.sampled_from([*FORMULAS, *LIKE_JSON, *ODD])
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
COLUMNS = st.sampled_from(["name", "policy", "addresses", "domains", "domain", "port", "enabled", "anything"])


@settings(max_examples=500)
@given(COLUMNS, VALUES)
@example("addresses", ["10.8.0.2", "a b"])
@example("port", [80])
def test_a_cell_is_read_as_what_was_written_and_no_spreadsheet_runs_it(column: str, value: Any) -> None:
    assume(isinstance(value, str) or column not in ("name", "policy"))  # anything else is wrong there
    assume(isinstance(value, list) or column not in ("addresses", "domains"))
    cell = write_cell(column, value)
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow([cell, "x"])
    [[again, _]] = csv.reader(io.StringIO(stream.getvalue(), newline=""))
    found = read_cell(column, again)
    assert repr(found) == repr(value)
    if not isinstance(value, (int, float)):
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_key_of_the_topology_has_a_column_of_its_own(kind: Any) -> None:
    assert len(set(kind.columns)) == len(kind.columns)
    assert set(kind.keys) <= {*kind.columns, *kind.items, "rules"}


@pytest.mark.parametrize("form", ["csv", "json"])
def test_the_key_before_is_a_secret_too(form: str) -> None:
    before = {"public_key": made_key("old"), "preshared_key": made_key("old shared"), "until": "2026-12-31"}
    clients = [{**RIGHT["splitway_clients"][0], "previous": before, "expires": date(2026, 12, 31)}]
    variables = {**RIGHT, "splitway_clients": clients}
    assert made_key("old shared") not in exported(variables, form, secrets=False)[f"clients.{form}"]
    assert made_key("old shared") in exported(variables, form, secrets=True)[f"clients.{form}"]
