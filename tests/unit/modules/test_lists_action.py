# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists as playbooks meet them: sources beside the inventory, said once a run, part of a topology's fingerprint."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.splitway.gateway.tests.unit import programs
from ansible_collections.splitway.gateway.tests.unit.sources.web_server import serving

MEDIA = "a.example\nfull:b.example\nkeyword:word\ngoo..gle\n"


class Project:
    """An operator's folder with an inventory of two gateways."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "inventory" / "files").mkdir(parents=True)
        self.write("media.txt", MEDIA)

    def write(self, name: str, text: str) -> None:
        (self.folder / "inventory" / "files" / name).write_text(text, encoding="utf-8")

    def play(self, playbook: str, *options: str, **lists: Any) -> subprocess.CompletedProcess[str]:
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "splitway_server": {"addresses": ["10.8.0.1/24"]},
            "splitway_list_cache": str(self.folder / "cache"),
            "splitway_lists": lists,
            "splitway_policies": {"family": {"rules": [{"list": "youtube", "egress": "block"}]}},
        }
        inventory = self.folder / "inventory" / "hosts.yml"
        hosts = {"gw1": {}, "gw2": {}}
        inventory.write_text(yaml.safe_dump({"splitway_gateways": {"hosts": hosts, "vars": variables}}))
        environment = {"ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"), "COLUMNS": "1000"}
        return programs.run(self.folder, "ansible-playbook", "-i", str(inventory), playbook, *options, **environment)

    def compiled(self, **lists: Any) -> dict[str, Any]:
        """Return what the module returns for the first gateway, checked twice."""
        tasks: list[dict[str, Any]] = [
            {"splitway.gateway.splitway_compile": {"returns": returns}, "register": "compiled"}
            for returns in ([], ["digest"])
        ]
        copy = {"content": "{{ compiled | to_json }}", "dest": str(self.folder / "{{ inventory_hostname }}.json")}
        play = {"hosts": "all", "gather_facts": False, "tasks": [*tasks, {"ansible.builtin.copy": copy}]}
        (self.folder / "play.json").write_text(json.dumps([play]), encoding="utf-8")
        done = self.play(str(self.folder / "play.json"), **lists)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads((self.folder / "gw1.json").read_text(encoding="utf-8"))
        return {**found, "said": done.stdout + done.stderr}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_sources_are_read_once_said_once_and_part_of_the_fingerprint(project: Project) -> None:
    with serving() as web:
        lists = {
            "media": {"source": "media.txt"},
            "web": {"source": web.put("hosts", "0.0.0.0 c.example\n"), "refresh": 0},
        }
        first = project.compiled(**lists)
        assert web.asked == ["hosts"], "two tasks of two hosts ask once"
        assert first["left_out"] == {"media": {"keyword": 1, "mistake": 1}}
        assert first["said"].count('media.txt line 4: "goo..gle" is not a domain name') == 1
        assert first["said"].count("what DNS cannot do is left out: 1 keyword") == 1

        assert project.compiled(**lists)["source"] == first["source"]
        web.put("hosts", "0.0.0.0 d.example\n")
        second = project.compiled(**lists)
        assert second["source"] != first["source"]

        web.put("hosts", "<html><title>Sorry</title>")
        third = project.compiled(**lists)
        assert third["source"] == second["source"], "the last good copy stays in force"
        assert third["said"].count('it is an HTML page, not a list ("Sorry"); the copy of ') == 1


def test_the_playbook_shows_what_lists_hold_and_leave_out(project: Project) -> None:
    shown = project.play("splitway.gateway.lists", media={"source": "media.txt"})
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert (
        "media: 2 domains, 0 networks, from v2fly; 1 meant alone hold what is below them, too; left out: "
        in shown.stdout
    )
    assert "youtube: " in shown.stdout
    assert "keyword:word" not in shown.stdout
    named = project.play("splitway.gateway.lists", "-e", "list=media", media={"source": "media.txt"})
    assert named.returncode == 0
    assert "media.txt line 3: " in named.stdout
    assert "youtube: " not in named.stdout
    assert project.play("splitway.gateway.lists", "-e", "list=medai", media={}).returncode != 0


def test_a_source_that_is_of_no_use_ends_the_run(project: Project) -> None:
    project.write("media.txt", "include:more\n")
    project.write("more", "include:media\n")
    done = project.play("splitway.gateway.lists", media={"source": "media.txt"}, gone={"source": "gone.txt"})
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "splitway_lists.media.source: media.txt line 1 → more line 1: include:media is circular" in said
    assert "splitway_lists.gone.source: there is no file" in said
    assert "gone.txt" in said
