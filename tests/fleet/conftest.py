# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Six gateways that are changed in waves. The tests run in the order of their file names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from fleetkit.flows import start_flows


@pytest.fixture(scope="session")
def traffic() -> None:
    """A client of gw3, with connections that are there as long as nobody breaks them."""
    start_flows()
