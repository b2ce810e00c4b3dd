# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists that ship: enough of them, each as careful operators would write it, and documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from splitway.sources.entries import Entries
from splitway.sources.shipped import FOLDER, shipped, shipped_names
from splitway.topology import canonical_domain

DIRECT = {"cn-direct", "private", "captive-portal", "time-sync"}
NAMES = sorted(shipped_names())
DOCUMENT = Path(__file__).parents[3] / "docs" / "lists.md"

# Where everybody registers names: none of these is one service's.
SUFFIXES = {
    *(
        "co.uk",
        "org.uk",
        "ac.uk",
        "com.cn",
        "net.cn",
        "org.cn",
        "gov.cn",
        "edu.cn",
        "ac.cn",
        "com.hk",
        "com.tw",
        "com.sg",
    ),
    *("co.jp", "ne.jp", "or.jp", "co.kr", "co.in", "com.au", "com.br", "com.mx", "co.nz", "com.tr", "com.ua", "com.vn"),
    *("co.id", "co.th", "com.my", "com.ph", "eu.org"),
}


@pytest.fixture(scope="module")
def lists() -> dict[str, Entries]:
    return {name: shipped(name) for name in NAMES}


def test_there_are_enough(lists: dict[str, Entries]) -> None:
    proxied = set(NAMES) - DIRECT
    assert len(proxied) >= 12
    assert len({domain for name in proxied for domain in lists[name].domains}) >= 290
    assert set(NAMES) > DIRECT
    assert len(lists["cn-direct"].domains) >= 150


@pytest.mark.parametrize("name", NAMES)
def test_a_list_is_canonical_and_says_what_it_is(name: str, lists: dict[str, Entries]) -> None:
    text = (FOLDER / f"{name}.yml").read_text(encoding="utf-8")
    written = re.findall(r"^  - \"?([^\"\n]+)\"?$", text, re.MULTILINE)
    domains = [entry for entry in written if "/" not in entry]
    assert domains == sorted(set(domains)) == [canonical_domain(entry) for entry in domains]
    assert tuple(domains) == lists[name].domains
    assert re.match(r"# SPDX.*\n---\n# .{30}", text)
    below = [entry for entry in domains if any(entry.endswith(f".{other}") for other in domains)]
    assert not below, "a name means all below it"


def test_no_name_is_on_two_lists(lists: dict[str, Entries]) -> None:
    first: dict[str, str] = {}
    for name, entries in lists.items():
        for domain in entries.domains:
            assert first.setdefault(domain, name) == name, domain


def test_no_list_takes_names_of_all_the_world(lists: dict[str, Entries]) -> None:
    for name, entries in lists.items():
        if name != "private":
            assert all("." in domain for domain in entries.domains), name
        assert not SUFFIXES & set(entries.domains), name


def test_the_document_has_each_list_with_its_size(lists: dict[str, Entries]) -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| .+ \| (\d+) \| (\d+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name: (int(domains), int(networks)) for name, domains, networks in rows} == {
        name: (len(entries.domains), len(entries.networks)) for name, entries in lists.items()
    }
