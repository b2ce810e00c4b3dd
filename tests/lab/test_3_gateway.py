# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway itself: names over TCP, services, files and their rights, playbooks that change and tell nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from labkit.hosts import CLIENT_FILES, host
from labkit.playbooks import playbook_succeeds, secrets
from labkit.ways import settled_ways


def test_names_are_answered_over_tcp(clients: None) -> None:
    answer = host("alice").check_output("dig +tcp +short AAAA www.youtube.com | sort").splitlines()
    assert answer == ["2001:db8:ff::32", "2001:db8:ff::33"]


def test_a_name_first_asked_over_tcp_takes_its_way(clients: None) -> None:
    """The address is in its set when the answer comes, whatever carried it."""
    address = host("alice").check_output("dig +tcp +short A first.news.example | sort").splitlines()[0]
    assert settled_ways("alice", {(address, 4): "eu"}) == {(address, 4): "eu"}


def test_no_record_carries_addresses_past_the_sets(clients: None) -> None:
    """HTTPS records hint at addresses that never reach a set; Firefox asks its own resolver unless told not to."""
    assert host("alice").check_output("dig +short HTTPS google.com") == ""
    assert "NXDOMAIN" in host("alice").check_output("dig use-application-dns.net")


def test_no_unit_failed() -> None:
    assert host("gw").check_output("systemctl --failed --no-legend") == ""


def test_a_disabled_upstream_has_no_interface() -> None:
    """us, eu and legacy are up; spare is not."""
    links = host("gw").check_output("ip -o link | grep -c wg-up-")
    assert int(links) == 3


def test_a_disabled_client_is_no_peer() -> None:
    assert len(host("gw").check_output("wg show wg0 peers").splitlines()) == 2
    assert not (CLIENT_FILES / "carol.conf").exists()


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_client_files_are_their_owners_only(name: str) -> None:
    for kind in ("conf", "png", "txt"):
        assert (CLIENT_FILES / f"{name}.{kind}").stat().st_mode & 0o777 == 0o600


def test_the_state_is_for_root_only() -> None:
    others = "find /etc/splitway -type f -perm /077"
    assert host("gw").check_output(others) == ""


def test_no_process_was_told_a_secret() -> None:
    arguments = host("gw").check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert [key for key in secrets() if key in arguments] == []


def test_the_journal_has_no_secret() -> None:
    journal = host("gw").check_output("journalctl --no-pager --output cat")
    assert [key for key in secrets() if key in journal] == []


def test_check_on_a_live_host_finds_nothing_and_tells_no_secret(clients: None) -> None:
    run = playbook_succeeds("site.yml", "--check", "--diff", "-vvv")
    assert run.changed() == 0
    assert [key for key in secrets() if key in run.output] == []


def test_the_report_has_the_gateway_and_no_secret(clients: None, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    playbook_succeeds("report.yml", variables={"splitway_report_file": str(file)})
    text = file.read_text(encoding="utf-8")
    found = re.search(r'id="data">(.*?)</script>', text)
    assert found is not None
    rows = {table["id"]: table["rows"] for table in json.loads(found[1])["tables"]}
    assert [row[0] for row in rows["gateways"]] == ["gw"]
    assert {"alice", "bob"} <= {row[0] for row in rows["clients"]}
    assert {"us", "eu"} <= {row[1] for row in rows["upstreams"]}
    assert rows["audit"]
    assert [key for key in secrets() if key in text] == []


def test_verify_is_content() -> None:
    run = playbook_succeeds("verify.yml")
    assert run.changed() == 0
