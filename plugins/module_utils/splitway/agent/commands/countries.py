# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway countries`: the countries that rules name, and their data; `refresh` reads the sources anew."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ...countries import CountryError, in_use, kept
from ...countries.refresh import refresh
from ...state import State
from ...store import Store
from ...system import System
from ..errors import AgentError
from .tables import ago, table

PATIENCE = 600.0  # seconds for a run of site.yml to end

HELP = "the countries that rules name, and their data"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", nargs="?", choices=("list", "refresh"), default="list", help="list, if left out")
    parser.add_argument("--accept", action="store_true", help="refresh, though a country loses most of its addresses")
    parser.add_argument("--json", action="store_true", help="the list for programs")


def run(options: argparse.Namespace, system: System) -> int:
    """List or refresh. Raises AgentError when rules name no country, CountryError when one has no data."""
    state = Store(system).generation(("marks", "agent"))
    if not in_use(state):
        if options.action == "refresh":
            return 0  # the timer may come at the moment in which the last rule of that kind goes
        raise AgentError("no rule names a country whose data is this gateway's to get")
    if options.action == "refresh":
        return _refresh(system, state, options.accept)
    if options.json:
        sys.stdout.write(f"{json.dumps(_plain(system, state), indent=2, sort_keys=True)}\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(system, state))
    return 0


def _refresh(system: System, state: State, accept: bool) -> int:
    """Read the sources anew; return 1 when that gave a reason to keep something older."""
    data = state.agent.countries if state.agent else None
    if data is None:
        raise AgentError("the generation does not say where the data of countries comes from: run site.yml")
    with kept.alone(system):
        between = partial(_between_runs, Store(system))
        done = refresh(system, data, in_use(state), system.now(), accept=accept, taking=between)
    if done.problem:
        sys.stderr.write(f"splitway: {done.problem}\n")
        return 1
    sys.stdout.write(f"other networks: {', '.join(done.changed) or 'none'}\n")
    return 0


@contextmanager
def _between_runs(store: Store) -> Iterator[None]:
    """Hold the gateway while no run of site.yml is at work: its sets and its chains are to be of the same data."""
    give_up = time.monotonic() + PATIENCE
    while True:
        with store.lock():
            if store.transaction() is None:
                yield
                return
        if time.monotonic() > give_up:
            raise AgentError("a run of site.yml is changing this gateway: try again when it has ended")
        time.sleep(1)


def _plain(system: System, state: State) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for code in sorted(in_use(state)):
        try:
            country = kept.country_data(system, code)
        except CountryError as error:
            found[code] = {"problem": str(error)}
            continue
        networks = {str(family): len(networks) for family, networks in country.networks.items()}
        addresses = {str(family): count for family, count in country.addresses.items()}
        found[code] = {"made": country.made, "origin": country.origin, "networks": networks, "addresses": addresses}
    note = kept.note(system)
    return {"countries": found, "checked": note.checked, "good": note.good, "problem": note.problem}


def _lines(system: System, state: State) -> Iterator[str]:
    now, note, rows = system.now(), kept.note(system), []
    for code in sorted(in_use(state)):
        try:
            country = kept.country_data(system, code)
        except CountryError as error:
            yield str(error)
            continue
        counts = (str(len(country.networks[family])) for family in (4, 6))
        rows.append((code, *counts, str(country.addresses[4]), ago(country.made, now), country.origin))
    headings = ("COUNTRY", ">IPV4 NETWORKS", ">IPV6 NETWORKS", ">IPV4 ADDRESSES", ">CHANGED", "FROM")
    yield from table("COUNTRIES", headings, rows)
    yield f"looked at {ago(note.checked or None, now)}, good {ago(note.good or None, now)}"
    if note.problem:
        yield f"older data is kept: {note.problem}"
