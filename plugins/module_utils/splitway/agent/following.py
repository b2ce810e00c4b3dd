# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway follow`: keeps the network of a container pinned, and has the gateway made anew in each that it gets.

A container has another network namespace after each start; what we had in the one before went with it. The guard comes
first, in tenths of a second: wg-easy needs longer to bring wg0 up.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from contextlib import suppress

from ..network_namespace import FOLLOWER, chosen, container_of, path_of, pin, process_of
from ..reconcile.agent.text import AGENT, GUARD, places
from ..system import System, SystemFailure
from .errors import AgentError
from .notify import tell

HELP = "follow the network of the container that the gateway is in (its unit runs that)"

PAUSE = 0.2  # seconds between looks for a container that does not run


def arguments(_: argparse.ArgumentParser) -> None:
    """Add the command's arguments: there are none."""


def run(_: argparse.Namespace, system: System) -> int:
    """Follow for ever. Raises AgentError where there is nothing to follow."""
    namespace = chosen(system)
    if not container_of(namespace):
        raise AgentError("this gateway is in no container's network: splitway_network_namespace names none")
    while True:
        process = process_of(system, container_of(namespace))
        if process is None:
            time.sleep(PAUSE)
            continue
        look(system, namespace)
        tell("READY=1")
        wait_for_end(process)


def look(system: System, namespace: str) -> bool:
    """Pin the namespace of now; if it is another, have everything made anew there. Return whether it is."""
    try:
        if not pin(system, namespace):
            return False
    except SystemFailure as failure:  # it ended at this moment
        sys.stderr.write(f"splitway: {failure}\n")
        return False
    if system.units.active(AGENT):
        with suppress(SystemFailure):  # what is not guarded yet, the agent brings in
            inside = ("nsenter", f"--net={path_of(namespace)}", str(places(system).program))
            system.run(*inside, "restore", "--early")
        system.units.stop_all(to_be_stopped(system.units.named("splitway-")))
        system.units.restart(AGENT)
    return True


def to_be_stopped(files: tuple[str, ...]) -> tuple[str, ...]:
    """Return the units, of these files, that run in the namespace before; the agent starts them again."""
    services = (name for name in files if name.endswith(".service") and name not in (GUARD, FOLLOWER))
    return tuple(name.replace("@.", "@*.") for name in services)


def wait_for_end(process: int) -> None:
    """Return when a process has ended."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
    finally:
        os.close(descriptor)
