# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benches share: options, interleaved rounds, results as JSON and as a table.

Importing it first makes the engine (`splitway`), the tests' `namespaces` and the lab's `labkit` importable.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
BENCHES = str(REPOSITORY / "tests/bench")
# The benches' own folder comes last: a bench may be called as a library is (dns).
sys.path[:] = [
    *(str(REPOSITORY / folder) for folder in ("plugins/module_utils", "tests/kernel", "tests/lab")),
    *(folder for folder in sys.path if folder != BENCHES),
    BENCHES,
]
