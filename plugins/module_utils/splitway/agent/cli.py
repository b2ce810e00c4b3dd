# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line `splitway`: one module a command, imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Optional

from ..failures import FAILURES
from ..network_namespace import Away, chosen, enter
from ..system import System
from .errors import AgentError

COMMANDS = {
    "status": "commands.status",
    "explain": "commands.explain",
    "audit": "commands.audit",
    "names": "commands.names",
    "countries": "commands.countries",
    "log-level": "commands.log_level",
    "restore": "boot",
    "await-run": "awaiting",
    "run": "daemon",
    "follow": "following",
}
"""Command → its module, which has HELP, arguments(parser) and run(options, system)."""

OUTSIDE = {"countries", "follow"}
"""What has its work in the network of the host, wherever the gateway is."""

BAD_USE = 2  # the exit status of argparse, and of whatever a command could not do


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; return the exit status: 0, or 2 with one line on stderr that says what to do."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    asked = [word for word in words if word in COMMANDS][:1]
    # Only what was asked for is loaded; help wants them all.
    parser = argument_parser(asked or list(COMMANDS))
    options = parser.parse_args(words)
    try:
        system = System()
        if not set(asked) & OUTSIDE:
            try:
                enter(system, chosen(system))
            except Away:
                if getattr(options, "early", False):
                    return 0  # before there is such a network nothing can come in there
                raise
        status: int = options.run(options, system)
    except (AgentError, *FAILURES) as error:
        sys.stderr.write(f"splitway: {' '.join(str(error).split())}\n")
        return BAD_USE
    except (KeyboardInterrupt, BrokenPipeError):
        return 1
    return status


def argument_parser(commands: Sequence[str]) -> argparse.ArgumentParser:
    """Return what reads the command line of these commands, whose modules are loaded for it."""
    parser = argparse.ArgumentParser(prog="splitway", description="Looks after this gateway.")
    chosen = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in commands:
        module = importlib.import_module(f".{COMMANDS[name]}", __package__)
        command = chosen.add_parser(name, help=module.HELP, description=module.HELP)
        module.arguments(command)
        command.set_defaults(run=module.run)
    return parser
