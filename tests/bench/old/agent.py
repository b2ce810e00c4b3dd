# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent on a bench's gateway: its folders are below the first argument, its units are plain processes."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [str(REPOSITORY / folder) for folder in ("plugins/module_utils", "tests/kernel")]

from namespaces import NamespaceSystem  # noqa: E402

from splitway.agent import daemon  # noqa: E402

if __name__ == "__main__":
    daemon.run(argparse.Namespace(), NamespaceSystem(Path(sys.argv[1]), os.getppid()))
