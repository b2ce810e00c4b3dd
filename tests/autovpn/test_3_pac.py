# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PAC files as a client gets them from the gateway, run by two engines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from autovpnkit.browsing import GATEWAY, browse

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "pac"))

from engines import answers

THROUGH = f"PROXY {GATEWAY}:8080"  # browsers have no SOCKS5 with a password
# What a browser is to do with each host, by the file.
SMART = {"www.google.com": True, "youtube.com": True, "198.51.100.161": True, "example.org": False}
GLOBAL = {"www.google.com": True, "example.org": True}
LOCAL = ("printer", "10.8.0.1", "www.intranet.example")


@pytest.mark.parametrize(("file", "expected"), [("family", SMART), ("everything", GLOBAL)])
def test_a_file_says_what_its_mode_means(file: str, expected: dict[str, bool]) -> None:
    answer = browse("alice", f"http://{GATEWAY}/{file}.pac")
    assert answer.code == 200
    assert "content-type: application/x-ns-proxy-autoconfig" in answer.headers.lower()
    found = answers(answer.text, [*expected, *LOCAL])
    assert {host: THROUGH in found[host] for host in expected} == expected
    assert {found[host] for host in LOCAL if host != LOCAL[-1] or file == "family"} == {"DIRECT"}


def test_what_is_discovered_is_the_first_file() -> None:
    family = browse("alice", f"http://{GATEWAY}/family.pac").text
    assert family
    assert browse("alice", f"http://{GATEWAY}/wpad.dat").text == family
    assert browse("alice", "http://wpad.home.example/wpad.dat").text == family
