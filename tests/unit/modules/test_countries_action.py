# SPDX-License-Identifier: GPL-3.0-or-later
"""splitway_compile and countries: what the gateway has to get, or what goes with the topology."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit import programs


def compiled(folder: Path, countries: dict[str, Any], returns: str = "outline") -> dict[str, Any]:
    """Return what splitway_compile makes of a rule for China; a failure's message in its place."""
    variables = {
        "splitway_server": {"addresses": ["10.8.0.1/24"]},
        "splitway_policies": {"split": {"rules": [{"country": "CN", "egress": "block"}]}},
        "splitway_clients": [{"name": "alice", "addresses": ["10.8.0.2"], "policy": "split"}],
        "splitway_countries": countries,
    }
    tasks = [
        {"splitway.gateway.splitway_compile": {"returns": [returns]}, "register": "done", "ignore_errors": True},
        {"ansible.builtin.copy": {"content": "{{ done | to_json }}", "dest": str(folder / "done.json")}},
    ]
    play = {"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}
    (folder / "play.json").write_text(json.dumps([play]), encoding="utf-8")
    home = str(folder)  # the last good data
    done = programs.run(folder, "ansible-playbook", "-i", "localhost,", "-c", "local", "play.json", HOME=home)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    return found


def networks_of(outline: dict[str, Any]) -> list[list[str]]:
    return [item["members"] for item in outline["sets"] if item["comment"] == "country cn"]


def test_gateway_is_told_what_to_get(tmp_path: Path) -> None:
    found = compiled(tmp_path, {"source": "/srv/geo.mmdb"})
    source = {"location": "/srv/geo.mmdb", "format": "maxmind", "checksum": ""}
    assert found["countries"] == {"countries": ["cn"], "sources": [source]}
    assert found["packages"] == ["python3-maxminddb"]
    assert found["outline"]["agent"]["countries"] == {"sources": [source], "refresh": 86400}
    assert networks_of(found["outline"]) == [[], []]


def test_controllers_data_goes_with_the_topology(tmp_path: Path) -> None:
    data = tmp_path / "geo.csv"
    settings = {"source": str(data), "where": "controller"}
    data.write_text("1.0.1.0/24,CN\n2001:250::/35,CN\n")
    first = compiled(tmp_path, settings)
    assert (first["countries"], first["packages"]) == ({}, [])
    assert networks_of(first["outline"]) == [["1.0.1.0/24"], ["2001:250::/35"]]
    assert first["outline"]["agent"]["countries"] is None
    assert not first["outline"]["marks"]["countries"]
    # Other data is another topology, at once; what cannot be believed is not, and that is said.
    data.write_text("1.0.0.0/22,CN\n2001:250::/35,CN\n")
    second = compiled(tmp_path, settings)
    assert networks_of(second["outline"]) == [["1.0.0.0/22"], ["2001:250::/35"]]
    assert second["source"] != first["source"]
    data.write_text("<html>")
    third = compiled(tmp_path, settings)
    assert third["source"] == second["source"]
    assert "is a web page" in third["warnings"][0]


@pytest.mark.parametrize("text", ["8.8.8.0/24,US\n", ""])
def test_without_data_on_the_controller_nothing_is_compiled(tmp_path: Path, text: str) -> None:
    (tmp_path / "geo.csv").write_text(text)
    found = compiled(tmp_path, {"source": str(tmp_path / "geo.csv"), "where": "controller"})
    assert found["failed"]
    assert found["msg"].startswith("splitway_countries: there is no data of the country cn on this host: ")
