# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_resolving`: how the agent asks for the lists' names, and tries the addresses of those that are pinned."""

from __future__ import annotations

from typing import Any

from .countries import country
from .endpoints import resolver
from .errors import Report
from .model import Resolving
from .reading import Fields, good
from .scalars import milliseconds, number, port

KEYS = ("servers", "interval", "timeout", "tries", "concurrency", "port", "countries")
FASTEST, SLOWEST = 2, 3600  # seconds of an interval
SHORTEST, LONGEST = 0.1, 30  # seconds of a timeout
MOST_TRIES = 10
MOST_AT_ONCE = 50


def read_resolving(report: Report, value: Any) -> Resolving:
    """Return how names are resolved."""
    fields = Fields(report, "splitway_resolving", value, KEYS)
    interval = fields.get_or("interval", milliseconds("an interval", FASTEST, SLOWEST), Resolving.interval)
    timeout = fields.get("timeout", milliseconds("a time to wait", SHORTEST, LONGEST))
    if timeout is not None and timeout > interval:
        report.add(f"{fields.path}.timeout", f"{timeout / 1000:g} is longer than interval ({interval / 1000:g} s)")
    return Resolving(
        servers=good(fields.entries("servers", resolver)),
        interval=interval,
        timeout=min(Resolving.timeout, interval) if timeout is None else timeout,
        tries=fields.get_or("tries", number("a number of tries", 1, MOST_TRIES), Resolving.tries),
        concurrency=fields.get_or(
            "concurrency", number("a number of questions", 1, MOST_AT_ONCE), Resolving.concurrency
        ),
        port=fields.get_or("port", port, Resolving.port),
        countries=good(fields.entries("countries", country)),
    )
