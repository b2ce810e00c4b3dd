# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command that the documents give for a gateway or a client works there and says something.

Which those are, what stands in them for a name of the lab, and what is not run and why: tests/documents/places.py.
"""

from __future__ import annotations

import re

import pytest
from documents.places import Place, runnable
from labkit.hosts import host

HOSTS = {Place.CLIENT: "alice", Place.GATEWAY: "gw", Place.TAP: "tap"}  # what clients asked for is learned then
COMMANDS = [(place, text) for place in HOSTS for text in runnable(place)]
# A capture waits for a packet, and ends well without one. Nothing pages or asks: there is no terminal.
SCRIPT = """case "$0" in
tcpdump*) timeout 2 bash -c "$0"; status=$?; [ "$status" = 124 ] || exit "$status"; exit 0 ;;
esac
timeout 20 bash -o pipefail -c "$0"
"""
SILENT = ("splitway audit", "splitway restore", "tc -s", "tcpdump")  # where there is nothing of the kind


def of_this_backend(text: str, backend: str) -> bool:
    """Tell whether the objects that a command names are there with a backend."""
    if backend == "ipset":
        return not re.search(r"\bnft .*\binet splitway\b", text)
    return not re.match(r"ip6?tables|ipset", text)


@pytest.mark.parametrize(("place", "text"), COMMANDS)
def test_it_works_and_answers(place: Place, text: str, backend: str, clients: None) -> None:
    if not of_this_backend(text, backend):
        pytest.skip(f"not with {backend}")
    done = host(HOSTS[place]).run("bash -c %s %s", SCRIPT, text)
    found_nothing = done.rc == 1 and "| grep" in text
    assert done.rc == 0 or (found_nothing and text.startswith(SILENT)), done.stdout + done.stderr
    assert (done.stdout + done.stderr).strip() or text.startswith(SILENT)
