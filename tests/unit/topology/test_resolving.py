# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_resolving`, and the lists that are pinned."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import changed
from splitway.topology import TopologyError, parse
from splitway.topology.model import Resolving

VARIABLE = "splitway_resolving"


@pytest.mark.parametrize(
    ("written", "settings"),
    [
        ({}, Resolving()),
        ({"interval": 2, "timeout": 0.5}, Resolving(interval=2000, timeout=500)),
        ({"interval": 2}, Resolving(interval=2000, timeout=2000)),
        (
            {
                "servers": ["9.9.9.9", "2620:fe::fe#5353"],
                "tries": 1,
                "concurrency": "20",
                "port": 8443,
                "countries": ["NL"],
            },
            Resolving(("9.9.9.9", "2620:fe::fe#5353"), tries=1, concurrency=20, port=8443, countries=("nl",)),
        ),
    ],
)
def test_what_is_written(written: dict[str, Any], settings: Resolving) -> None:
    assert parse(changed((VARIABLE, written))).resolving == settings


def test_a_list_is_pinned() -> None:
    lists = parse(changed(("splitway_lists.pinned", {"domains": ["a.example"], "pin": True}))).lists
    assert {entry.name for entry in lists if entry.pin} == {"pinned"}


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (VARIABLE, "fast", f'{VARIABLE}: "fast" is not a mapping'),
        (VARIABLE, {"intervall": 5}, f'{VARIABLE}.intervall: unknown key; did you mean "interval"?'),
        (VARIABLE, {"interval": 1}, f"{VARIABLE}.interval: 1 is not an interval (2-3600 seconds)"),
        (VARIABLE, {"interval": 5, "timeout": 6}, f"{VARIABLE}.timeout: 6 is longer than interval (5 s)"),
        (VARIABLE, {"tries": 0}, f"{VARIABLE}.tries: 0 is not a number of tries (1-10)"),
        (VARIABLE, {"concurrency": 51}, f"{VARIABLE}.concurrency: 51 is not a number of questions (1-50)"),
        (VARIABLE, {"port": "https"}, f'{VARIABLE}.port: "https" is not a port (1-65535)'),
        (VARIABLE, {"servers": ["dns.example"]}, f'{VARIABLE}.servers[0]: "dns.example" is not a DNS server'),
        (VARIABLE, {"servers": ["10.8.0.1"]}, f'{VARIABLE}.servers[0]: "10.8.0.1" is the gateway itself'),
        (VARIABLE, {"countries": ["Holland"]}, f'{VARIABLE}.countries[0]: "Holland" is not a country'),
        ("splitway_lists.pinned", {"pin": "best"}, 'splitway_lists.pinned.pin: "best" is not a boolean'),
    ],
)
def test_mistakes(path: str, value: Any, error: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse(changed((path, value)))
    assert [found[: len(error)] for found in caught.value.errors] == [error]
