# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway log-level`: how much the running agent tells in the journal."""

from __future__ import annotations

import argparse
import sys

from ...log_levels import LEVELS
from ...system import System
from .. import control
from ..levels import QUESTION

HELP = "how much the agent tells in the journal, shown or changed while it runs"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("level", nargs="?", choices=LEVELS, help="from now on; shown, if left out")


def run(options: argparse.Namespace, system: System) -> int:
    """Print the level in force. Raises AgentError when the agent does not run."""
    question = QUESTION if options.level is None else f"{QUESTION} {options.level}"
    sys.stdout.write(f"{control.ask(system, question)}\n")
    return 0
