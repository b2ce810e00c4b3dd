# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway names`: the addresses of pinned names, and how good the agent found them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from ...system import System
from .. import control
from ..errors import AgentError
from ..figures.resolving import AddressStatus, from_plain, to_plain
from .tables import ago, table

HELP = "pinned names, their addresses, and how good these are"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="only this one")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace, system: System) -> int:
    """Print the addresses. Raises AgentError when the agent does not run, or the name is not pinned."""
    try:
        found = from_plain(control.ask(system, "names"))
    except ValueError as error:
        raise AgentError("the agent that runs is of another version: systemctl restart splitway") from error
    if options.name is not None:
        name = options.name.rstrip(".").lower()
        found = [entry for entry in found if entry.name == name]
        if not found:
            raise AgentError(
                f"{name} is not pinned, or no resolver has named an address yet: see pin of splitway_lists"
            )
    if options.json:
        text = json.dumps(to_plain(found), indent=2, sort_keys=True)
    else:
        text = "\n".join(render(found, system.now()))
    sys.stdout.write(f"{text}\n")
    return 0


def render(found: Sequence[AddressStatus], now: float) -> Iterator[str]:
    """Yield the lines for people."""
    if not found:
        yield "no names are pinned: see pin of splitway_lists"
        return
    headings = ("NAME", "ADDRESS", "EGRESS", ">SERVED", ">CONNECT", ">SUCCESS", ">TRIED", "COUNTRY")
    rows = [
        (
            entry.name,
            entry.address,
            entry.egress,
            "-" if entry.place is None else str(entry.place),
            "-" if entry.connect is None else f"{entry.connect * 1000:.1f} ms",
            "-" if entry.tried is None else f"{entry.success:.0%}",
            ago(entry.tried, now),
            entry.country or "-",
        )
        for entry in found
    ]
    yield from table("PINNED NAMES", headings, rows)
