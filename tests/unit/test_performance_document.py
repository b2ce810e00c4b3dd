# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/performance.md says what bench/results says."""

from __future__ import annotations

import sys
from pathlib import Path

# Last: a bench may be called as a library is (dns).
sys.path.append(str(Path(__file__).parents[1] / "bench"))

from performance.document import DOCUMENT, render
from performance.results import load


def test_the_document_is_that_of_the_results() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(load()), "run `make performance`"
