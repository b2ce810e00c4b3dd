# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benches share: options, interleaved rounds, results as JSON and as a table.

Importing it first makes the engine (`splitway`) and the tests' `namespaces` importable.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
sys.path[:0] = [str(REPOSITORY / folder) for folder in ("plugins/module_utils", "tests/kernel")]
