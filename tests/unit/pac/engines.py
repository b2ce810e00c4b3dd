# SPDX-License-Identifier: GPL-3.0-or-later
"""Two engines that run PAC files: pacparser (Mozilla's, long ago, as curl and others have it) and pypac (Duktape)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

import pacparser
from pypac.parser import PACFile

Ask = Callable[[str, str], str]
"""URL and host → what the file answers."""


@contextmanager
def loaded_by_pacparser(text: str) -> Iterator[Ask]:
    """Yield how a file answers. There can be one at a time in a process."""
    pacparser.init()
    try:
        pacparser.parse_pac_string(text)
        yield pacparser.find_proxy
    finally:
        pacparser.cleanup()


@contextmanager
def loaded_by_pypac(text: str) -> Iterator[Ask]:
    """Yield how a file answers."""
    yield PACFile(text).find_proxy_for_url


ENGINES = {"pacparser": loaded_by_pacparser, "pypac": loaded_by_pypac}


def answers(text: str, hosts: list[str], scheme: str = "http", port: str = "") -> dict[str, str]:
    """Return the answer for each host. Fail unless the engines give the same."""
    found = []
    for load in ENGINES.values():
        with load(text) as ask:
            found.append({host: ask(f"{scheme}://{bracketed(host)}{port}/", host) for host in hosts})
    assert found[0] == found[1]
    return found[0]


def bracketed(host: str) -> str:
    """Return the host as a URL has it."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
