# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent on a gateway in a namespace, as a process of its own.

Its folders are below FOLDER, its units are plain processes that its parent started.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib
import os
import sys
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
sys.path[:0] = [str(REPOSITORY / folder) for folder in ("plugins/module_utils", "tests/kernel")]

from namespaces import NamespaceSystem  # noqa: E402

from splitway.agent import daemon  # noqa: E402


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--profile", type=Path, help="where, when it ends, cProfile's words on loop and worker go")
    parser.add_argument("--set", action="append", default=[], metavar="MODULE.NAME=SECONDS", help="another time")
    given = parser.parse_args()
    for words in given.set:
        set_time(*words.split("="))
    system = NamespaceSystem(given.folder, os.getppid())
    if given.profile is not None:
        profiled(system, given.profile)
    else:
        daemon.run(argparse.Namespace(), system)


def set_time(name: str, seconds: str) -> None:
    """Give a constant of one of the agent's modules another value."""
    module, _, constant = name.rpartition(".")
    found = importlib.import_module(f"splitway.agent.{module}")
    if not isinstance(getattr(found, constant), float):
        raise TypeError(f"{name} is no time")
    setattr(found, constant, float(seconds))


def profiled(system: NamespaceSystem, folder: Path) -> None:
    """Run with a profile of each thread."""
    folder.mkdir(exist_ok=True)
    plain = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        profile = cProfile.Profile(time.thread_time)
        try:
            profile.runcall(plain, thread)
        finally:
            profile.dump_stats(folder / f"{thread.name}.prof")

    threading.Thread.run = run  # type: ignore[method-assign]
    profile = cProfile.Profile(time.thread_time)
    try:
        profile.runcall(daemon.run, argparse.Namespace(), system)
    finally:
        profile.dump_stats(folder / "loop.prof")


if __name__ == "__main__":
    main()
