# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway await-run`: sits beside a run, and rolls it back when its time is up.

A run starts it before it changes anything, as a unit of its own with the engine that the run brings: it needs neither
the controller, nor the connection, nor an agent, which a first run has not installed yet and any run may break.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from pathlib import Path

from ..failures import FAILURES
from ..network_namespace import chosen, enter
from ..store import Held, Store
from ..system import System
from ..transaction import end_expired
from ..unconfirmed import UNKNOWN

HELP = "roll a run back when its time is up (a run starts that)"

LOOK = 0.5  # seconds between looks
LONGEST_PAUSE = 30.0  # seconds between attempts at what cannot be rolled back


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("identifier", metavar="run", help="its id")


def run(options: argparse.Namespace, system: System) -> int:
    """Return when the run has ended, by whomever."""
    store = Store(system)
    identifier, pause = options.identifier, LOOK
    while is_open(store, identifier):
        time.sleep(pause)
        try:
            enter(system, chosen(system))  # a first run says where only after it has begun
            with suppress(Held), store.lock(patience=LOOK):
                end_expired(store)
            pause = LOOK
        except FAILURES as error:
            sys.stderr.write(f"splitway: run {identifier} cannot be rolled back: {error}\n")
            pause = min(2 * pause, LONGEST_PAUSE)
    return 0


def is_open(store: Store, identifier: str) -> bool:
    """Return whether a run has neither ended nor been rolled back; one of unknown name may be this one."""
    transaction, waiting = store.transaction(), store.unconfirmed()
    return not {identifier, UNKNOWN}.isdisjoint((transaction and transaction.id, waiting and waiting.id))


def launch(system: System, engine: Path, identifier: str) -> None:
    """Start it beside the run, with the engine in this folder; nothing without systemd. Raises SystemFailure."""
    name = f"splitway-run-{identifier}.service"
    if system.units.available() and not system.units.active(name):
        system.units.launch(name, "/usr/bin/python3", "-I", "-c", start(engine), "await-run", identifier)


def start(engine: Path) -> str:
    """Return the Python that runs the engine in this folder.

    One expression: when systemd reads its units again a semicolon in a unit without a file comes back as `\\;`
    (252, seen), and python3 would not start any more.
    """
    main = "__import__('splitway.agent.cli', fromlist=['main']).main()"
    return f"__import__('sys').path.insert(0, {str(engine)!r}) or exit({main})"
