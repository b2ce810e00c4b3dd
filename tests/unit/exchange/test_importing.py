# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as people and programs write them: what is taken, what is refused at which line and why, what stays."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.topology.samples import RIGHT, key
from splitway.exchange import ExchangeError, Outcome, exported, import_files, read_variables, replaced

SERVER = {"addresses": ["10.8.0.1/24", "fd00:8::1/64"]}
BEFORE: dict[str, Any] = {
    "splitway_server": SERVER,
    "splitway_upstreams": [{"name": "us", "endpoint": "us.example.com:1", "public_key": key("us exit")}],
    "splitway_lists": {"sites": {"domains": ["google.com"]}},
    "splitway_policies": {"family": {"rules": [{"list": "sites", "egress": "us"}]}},
    "splitway_clients": [
        {"name": "alice", "addresses": ["10.8.0.2"], "private_key": key("alice"), "policy": "family"},
        {"name": "bob", "addresses": ["10.8.0.3"]},
    ],
}


def outcome(
    files: dict[str, Any], variables: Optional[dict[str, Any]] = None, written: Any = None, *, partial: bool = False
) -> Outcome:
    variables = BEFORE if variables is None else variables
    text = yaml.safe_dump(variables if written is None else written, sort_keys=False)
    contents = {name: file if isinstance(file, bytes) else file.encode() for name, file in files.items()}
    return import_files(contents, variables, read_variables(text), partial=partial)


def refused(*args: Any, **keywords: Any) -> list[str]:
    return [str(refusal) for refusal in outcome(*args, **keywords).refused]


def clients(found: Outcome) -> dict[str, Any]:
    assert not found.refused, found.refused
    return {client["name"]: client for client in found.values["splitway_clients"]}


PLAIN = ["name,addresses,public_key,policy", f"tablet,10.8.0.9 fd00:8::9,{key('tablet')},family", "42,10.8.0.10,,"]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(PLAIN).encode(),
        "\r\n".join([*PLAIN, "", ",,,"]).encode("utf-8-sig"),
        ("sep=;\r\n" + "\r\n".join(PLAIN).replace(",", ";")).encode(),
        "\n".join(PLAIN).replace(",", "\t").encode("utf-16"),
        "\n".join(PLAIN).replace("addresses", " Addresses ").replace("public_key", '"Public Key"').encode(),
        "\n".join(PLAIN).replace("10.8.0.9 fd00:8::9", '"10.8.0.9,\n fd00:8::9"').encode(),
        "\n".join(PLAIN).replace("10.8.0.9 fd00:8::9", '"[""10.8.0.9"", ""fd00:8::9""]"').encode(),
    ],
    ids=["plain", "bom, crlf", "semicolons", "utf-16, tabs", "spelling", "line break in a cell", "json in a cell"],
)
def test_tables_are_read_as_spreadsheets_write_them(content: bytes) -> None:
    found = clients(outcome({"clients.csv": content}, {"splitway_server": SERVER, "splitway_policies": {"family": {}}}))
    tablet = {"name": "tablet", "addresses": ["10.8.0.9", "fd00:8::9"], "public_key": key("tablet"), "policy": "family"}
    assert found == {"tablet": tablet, "42": {"name": "42", "addresses": ["10.8.0.10"]}}


def places(lines: list[str]) -> list[str]:
    """Return where refused lines are, without the reasons."""
    return [": ".join(line.split(": ")[:2]) for line in lines]


def test_every_wrong_line_is_named_whatever_is_wrong_before_it() -> None:
    lines = [
        "name,addresses,policy,rules",
        "carol,10.8.0.2,family,",
        "b b,10.8.0.300,familly,",
        'dora,10.8.0.2,,"[{""domain"": ""a b"", ""egress"": ""eu""}]"',
        "dave,10.8.0.4,family,,one too many",
        "Carol,10.8.0.5,family,",
        "=cmd,10.8.0.6,,",
    ]
    found = refused({"clients.csv": "\n".join(lines)})
    assert places(found) == [
        "clients.csv:3: name",
        "clients.csv:3: addresses[0]",
        "clients.csv:3: policy",
        "clients.csv:4: addresses[0]",
        "clients.csv:4: rules[0].domain",
        "clients.csv:4: rules[0].egress",
        "clients.csv:5: has 5 cells, and there are 4 columns",
        "clients.csv:6: name",
        "clients.csv:7: name",
    ]
    assert found[2] == 'clients.csv:3: policy: "familly" is not a policy; did you mean "family"?'
    assert found[3].endswith('"10.8.0.2" is already an address of clients.csv:2')


def test_rows_of_lists_and_policies_are_named_by_their_own_line_and_column() -> None:
    lists = ["name,domain,network", "sites,google.com,", "sites,goo gle.com,", "news,,8.8.8.8/24", ",a.com,"]
    policies = ["name,default,domain,list,port,egress", "family,direct,,sites,,us", "family,,a.com,,99999,us"]
    found = refused({"lists.csv": "\n".join(lists), "policies.csv": "\n".join([*policies, "family,us,,gogle,,us"])})
    assert places(found) == [
        "lists.csv:3: domain",
        "lists.csv:4: network",
        "lists.csv:5: name",
        "policies.csv:3: port",
        "policies.csv:4: default",
        "policies.csv:4: list",
    ]
    assert found[1] == 'lists.csv:4: network: "8.8.8.8/24" has host bits: did you mean 8.8.8.0/24?'
    assert found[4] == 'policies.csv:4: default: "us", but a line before says "direct"'


def test_json_is_named_by_line_too() -> None:
    carol = {"name": "carol", "addresses": ["10.8.0.4", "10.9.0.4"], "policy": "famly"}
    found = refused({"clients.json": json.dumps([{"name": "bob", "addresses": ["10.8.0.2"]}, carol, 7], indent=1)})
    assert places(found) == [
        "clients.json:12: addresses[1]",
        "clients.json:14: policy",
        "clients.json:16: 7 is not a mapping",
    ]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("clients.json", '[\n{"name": "a",}]', "clients.json:2: is not JSON: "),
        ("clients.json", '{"name": "a"}', "clients.json:1: is not a list of mappings"),
        ("lists.json", '{"a": {},\n"a": {}}', 'lists.json:2: "a" is there twice'),
        ("lists.json", '[{"name": "a"},\n{"domains": []}]', "lists.json:2: has no name"),
        ("clients.json", "[" * 100000, "clients.json:1: is not JSON: it is nested too deeply"),
        ("clients.csv", 'name,addresses\na,10.8.0.2\n"b,10.8.0.3\n', "clients.csv:3: is not CSV"),
        ("clients.csv", b"name\nJ\xfcrgen\n", "clients.csv:2: is not UTF-8"),
        ("clients.csv", "", "clients.csv:1: is empty"),
        (
            "clients.csv",
            "name,adresses\n",
            'clients.csv:1: "adresses" is no column of a client; did you mean "addresses"?',
        ),
        ("clients.csv", "name,name\n", 'clients.csv:1: "name" is there twice'),
        ("wg0.json", "[]", "wg0.json:1: clients: is not there"),
        (
            "rules.csv",
            "client,type,value,action\neve,domain,a.com,block\n",
            'rules.csv:2: client: "eve" is not a client',
        ),
    ],
)
def test_what_is_no_such_file_is_said_and_changes_nothing(name: str, content: Any, problem: str) -> None:
    assert refused({name: content})[0].startswith(problem)
    assert outcome({name: content}, partial=True).values == {}


def test_a_template_is_refused_for_ansible_would_run_it() -> None:
    for cell in ("{{ lookup('pipe', 'id') }}", "{% raw %}", "#jinja2:x"):
        table = f'name,addresses,policy\nalice,10.8.0.2,"{cell}"\n'
        assert "clients.csv:2: policy: holds a template, which Ansible would run" in refused({"clients.csv": table})


def test_in_part_a_refused_entry_leaves_what_is_there_and_takes_nothing_from_the_others() -> None:
    table = (
        "name,addresses,policy,private_key\n"
        "fred,10.8.0.3,family,\n"  # wants bob's address
        "carol,10.8.0.2,family,no key\n"  # wrong, so that 10.8.0.2 is free for dave
        "dave,10.8.0.2,family,\n"
        "bob,10.8.0.3,familly,\n"  # wrong, so that bob is as he was
        "erin,10.8.0.3,family,\n"  # wants bob's address
    )
    found = outcome({"clients.csv": table}, partial=True)
    assert [refusal.line for refusal in found.refused] == [2, 3, 5, 6]
    assert [client["name"] for client in found.values["splitway_clients"]] == ["dave", "bob"]
    assert found.values["splitway_clients"][1] == BEFORE["splitway_clients"][1]
    assert (found.changes["clients"].added, found.changes["clients"].removed) == (("dave",), ("alice",))


def test_in_part_a_list_loses_a_line_and_a_policy_is_all_or_nothing() -> None:
    lists = (
        "name,domain,resolvers\nsites,google.com,\nsites,goo gle.com,\nsites,gstatic.com,\nnews,a.com,9.9.9.9 nobody\n"
    )
    policies = "name,domain,egress\nfamily,a.com,us\nfamily,b b,us\nwork,a.com,us\n"
    found = outcome({"lists.csv": lists, "policies.csv": policies}, partial=True)
    assert found.values["splitway_lists"] == {"sites": {"domains": ["google.com", "gstatic.com"]}}
    assert found.values["splitway_policies"] == {
        **BEFORE["splitway_policies"],
        "work": {"rules": [{"domain": "a.com", "egress": "us"}]},
    }


def test_what_the_inventory_needs_cannot_go() -> None:
    table = {"lists.csv": "name,domain\nother,a.com\n"}
    assert refused(table) == ['the inventory: splitway_policies.family.rules[0].list: "sites" is not a list']
    with pytest.raises(ExchangeError, match="the inventory: splitway_policies"):
        outcome(table, partial=True)


def test_templates_and_vaulted_values_stay_where_the_value_is_the_same() -> None:
    text = """\
splitway_clients:
  - name: alice
    addresses: ["{{ net }}.2"]
    private_key: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      6162
    policy: "{{ usual }}"
  - name: bob
    addresses: ["{{ net }}.3"]
"""
    table = exported(BEFORE, "csv", secrets=False)["clients.csv"].replace("10.8.0.3", "10.8.0.4")
    found = import_files({"clients.csv": table.encode()}, BEFORE, read_variables(text), partial=False)
    after = replaced(read_variables(text), found.values)
    assert not found.refused
    assert after == text.partition("  - name: bob")[0] + "  - {name: bob, addresses: [10.8.0.4]}\n"


def test_an_empty_cell_takes_a_key_away_and_says_so_a_missing_column_does_not() -> None:
    kept = outcome({"clients.csv": "name,addresses,policy\nalice,10.8.0.7,family\n"})
    assert clients(kept)["alice"]["private_key"] == key("alice")
    taken = outcome({"clients.csv": "name,addresses,policy,private_key\nalice,10.8.0.7,family,\n"})
    assert "private_key" not in clients(taken)["alice"]
    assert taken.notes == ('clients.csv:2: private_key: "alice" has none any more',)
    renamed = outcome({"clients.csv": "name,addresses,policy\nalicia,10.8.0.2,family\n"})
    assert renamed.notes == ("clients: removed with their keys: alice",)


def test_a_key_that_only_the_inventory_has_is_not_lost_silently() -> None:
    files = {"clients.csv": "name,addresses,policy\nalice,10.8.0.7,family\n"}
    assert refused(files, written={"splitway_retention": "12h"})[0].startswith(
        "clients.csv:2: private_key: the inventory"
    )


SEED_ROWS = "client;type;value;action\nbob;domain;*.google.com;block\nbob;ip;8.8.8.8/32;direct\n"


def test_the_seeds_rows_are_rules_of_clients_and_nobody_else_changes() -> None:
    found = clients(outcome({"rules.csv": SEED_ROWS}))
    assert found["alice"] == BEFORE["splitway_clients"][0]
    assert found["bob"]["rules"] == [
        {"type": "domain", "value": "*.google.com", "action": "block"},
        {"type": "ip", "value": "8.8.8.8/32", "action": "direct"},
    ]
    rows = json.dumps([{"client": "bob", "domain": "a.com", "port": [80, "90-99"], "egress": "us"}])
    assert clients(outcome({"rules.json": rows}))["bob"]["rules"] == [
        {"domain": "a.com", "port": [80, "90-99"], "egress": "us"}
    ]
    wrong = SEED_ROWS.replace("8.8.8.8/32", "8.8.8.8/33").replace("block", "proxy")
    assert places(refused({"rules.csv": wrong})) == ["rules.csv:2: action", "rules.csv:3: value"]


def test_the_seeds_templates_of_lists_are_lists() -> None:
    template = [{"name": "sites", "domains": ["google.com", "*.google.com", "gstatic.com"]}]
    found = outcome({"lists.json": json.dumps(template)})
    assert found.values["splitway_lists"] == {"sites": {"domains": ["google.com", "*.google.com", "gstatic.com"]}}
    wide = outcome({"lists.csv": 'name,domains,networks\nsites,"google.com, gstatic.com",8.8.8.0/24 ::/0\n'})
    assert wide.values["splitway_lists"]["sites"]["domains"] == ["google.com", "gstatic.com"]


def test_two_formats_of_one_kind_are_one_too_many() -> None:
    with pytest.raises(ExchangeError, match=r"there are clients\.csv and clients\.json"):
        outcome({"clients.csv": "name\n", "clients.json": "[]"})


FILES = {form: exported(RIGHT, form, secrets=True) for form in ("csv", "json")}


@settings(max_examples=300)
@given(st.data(), st.sampled_from(["csv", "json"]), st.booleans())
def test_whatever_happens_to_a_file_there_is_an_outcome_and_no_key_in_a_message(
    data: st.DataObject, form: str, partial: bool
) -> None:
    files = {name: text.encode() for name, text in FILES[form].items()}
    name = data.draw(st.sampled_from(sorted(files)))
    content = files[name]
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(begin, min(len(content), begin + 20)))
        put = data.draw(st.binary(max_size=4) | st.sampled_from([b",", b'"', b"\n", b"[", b"{", b"null", b";", b"=1"]))
        content = content[:begin] + put + content[end:]
    try:
        found = outcome({**files, name: content}, RIGHT, partial=partial)
    except ExchangeError as error:
        told = str(error)
    else:
        told = "\n".join([*map(str, found.refused), *found.notes])
        if found.values:
            replaced(read_variables(""), found.values)
    for secret in ("us", "us shared", "bob", "bob shared"):
        assert key(secret) not in told
    assert all(line.isprintable() for line in told.splitlines())
