# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent on a gateway in a namespace, as a process of its own.

`agent.py FOLDER [PROFILE]`: its folders are below FOLDER, its units are plain processes that its parent started; with
PROFILE it writes into that folder, when it ends, what cProfile saw of its loop and of its worker.
"""

from __future__ import annotations

import argparse
import cProfile
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
    system = NamespaceSystem(Path(sys.argv[1]), os.getppid())
    if len(sys.argv) > 2:
        profiled(system, Path(sys.argv[2]))
    else:
        daemon.run(argparse.Namespace(), system)


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
