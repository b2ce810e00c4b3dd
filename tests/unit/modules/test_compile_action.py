# SPDX-License-Identifier: GPL-3.0-or-later
"""splitway_compile as playbooks call it: which variables it takes, and when it has nothing to compile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.splitway.gateway.plugins.module_utils._variables import holds_template
from ansible_collections.splitway.gateway.tests.unit import programs

KEY = "aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gMTI="
VARIABLES = {
    "endpoint": "vpn.example.net",
    "splitway_server": {"addresses": ["10.8.0.1/24"], "endpoint": "{{ endpoint }}"},
    "splitway_policies": {"family": {"default": "direct"}},
    "splitway_clients": "{{ (public + '' if true else '') | from_json }}",
    "public": json.dumps([{"name": "alice", "addresses": ["10.8.0.2"], "public_key": KEY, "policy": "family"}]),
}


def compiled(folder: Path, variables: dict[str, Any], *calls: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each call of the module returned, in one play; `first` is the result of the first."""
    tasks: list[dict[str, Any]] = []
    for number, arguments in enumerate(calls):
        register = "first" if number == 0 else f"later{number}"
        tasks.append({"splitway.gateway.splitway_compile": arguments, "register": register})
        copy = {"content": f"{{{{ {register} | to_json }}}}", "dest": str(folder / f"{number}.json")}
        tasks.append({"ansible.builtin.copy": copy})
    play = {"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}
    (folder / "play.json").write_text(json.dumps([play]), encoding="utf-8")
    done = programs.run(folder, "ansible-playbook", "-i", "localhost,", "-c", "local", "play.json")
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads((folder / f"{number}.json").read_text(encoding="utf-8")) for number in range(len(calls))]


def test_the_hosts_variables_are_the_topology_and_what_is_published_is_not_compiled_again(tmp_path: Path) -> None:
    first, outline, same, other, forced = compiled(
        tmp_path,
        VARIABLES,
        {},
        {"returns": ["outline"]},
        {"returns": ["package"], "checked": "{{ first }}", "published": "{{ first.source }}"},
        {"returns": ["package"], "checked": "{{ first }}", "published": "of another topology"},
        {"returns": ["package"], "server": VARIABLES["splitway_server"], "published": "{{ first.source }}"},
    )
    assert not {"package", "outline", "client_files"} & set(first)
    assert outline["outline"]["server"]["peers"][0]["name"] == "alice"
    assert (same["package"], same["client_files"], same["client_folder"]) == ("", [], first["client_folder"])
    assert other["package"]
    assert other["source"] == first["source"]
    assert forced["package"]
    assert forced["source"] != first["source"], "options are another topology than the variables"


def test_client_files_come_with_what_is_published_too(tmp_path: Path) -> None:
    made_here = [{"name": "bob", "addresses": ["10.8.0.3"], "policy": "family"}]
    _, same = compiled(
        tmp_path,
        {**VARIABLES, "splitway_clients": made_here},
        {},
        {"returns": ["package"], "checked": "{{ first }}", "published": "{{ first.source }}"},
    )
    assert same["package"] == ""
    assert [(entry["name"], entry["endpoint"]) for entry in same["client_files"]] == [("bob", "vpn.example.net:51820")]


def endless() -> list[Any]:
    """What YAML makes of `&a [*a]`."""
    entries: list[Any] = []
    entries.append(entries)
    return entries


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"name": "alice", "mtu": 1400, "nat": True, "dns": None, "share": 0.5}], False),
        ({"server": {"endpoint": "{{ name }}"}}, True),
        ({"{{ name }}": 1}, True),
        (["#jinja2:variable_start_string:'[['\n[[ name ]]"], True),
        (["{% if x %}"], True),
        ([object()], True),
        (endless(), True),
    ],
)
def test_only_plain_values_go_untemplated(value: Any, expected: bool) -> None:
    assert holds_template(value) is expected


def test_what_is_asked_over_tls_needs_packages(tmp_path: Path) -> None:
    names = {"servers": ["tls://192.0.2.53#dns.example"]}
    plain, tls = compiled(tmp_path, VARIABLES, {}, {"server": VARIABLES["splitway_server"], "dns": names})
    assert (plain["packages"], tls["packages"]) == ([], ["ca-certificates", "unbound"])
