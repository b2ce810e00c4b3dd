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

from ..network_namespace import FOLLOWER, chosen, container_of, path_of, pin, process_of
from ..reconcile.agent.text import AGENT, GUARD, places
from ..system import System, SystemFailure
from .errors import AgentError
from .notify import tell

HELP = "follow the network of the container that the gateway is in (its unit runs that)"

PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between looks for a container that does not run: ever longer
TRIES = 20  # to guard a new network while the agent, at work in the one before, has the gateway


def arguments(_: argparse.ArgumentParser) -> None:
    """Add the command's arguments: there are none."""


def run(_: argparse.Namespace, system: System) -> int:
    """Follow for ever. Raises AgentError where there is nothing to follow."""
    namespace = chosen(system)
    if not container_of(namespace):
        raise AgentError("this gateway is in no container's network: splitway_network_namespace names none")
    pause = PAUSE
    while True:
        process = process_of(system, container_of(namespace))
        if process is None:
            time.sleep(pause)
            pause = min(1.1 * pause, LONGEST_PAUSE)
            continue
        pause = PAUSE
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
        _guard(system, namespace)
        system.units.stop_all(to_be_stopped(system.units.named("splitway-")))
        system.units.restart(AGENT)
    return True


def _guard(system: System, namespace: str) -> None:
    """Bring floors, sets and chains into a new network; what cannot be is left to the agent."""
    for _ in range(TRIES):
        try:
            system.run("nsenter", f"--net={path_of(namespace)}", str(places(system).program), "restore", "--early")
        except SystemFailure as failure:
            sys.stderr.write(f"{failure}\n")
            time.sleep(PAUSE / 2)
        else:
            return


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
