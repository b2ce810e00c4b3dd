# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel tests: each test runs in a network namespace of its own and leaves nothing behind.

Fixtures: ``system`` (the gateway: a System that acts on the test's namespace), ``network`` (further
hosts and wires to them), ``read_only`` (the same host through a System that raises on writes).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "plugins" / "module_utils"))

from namespaces import NamespaceSystem, Network, ReadOnlySystem, fresh, private_mounts


@pytest.fixture(scope="session", autouse=True)
def _mounts() -> None:
    if os.geteuid() != 0:
        pytest.exit("the kernel tests need root", returncode=1)
    private_mounts()


@pytest.fixture(autouse=True)
def _namespace(_mounts: None) -> Iterator[int]:
    with fresh() as descriptor:
        yield descriptor


@pytest.fixture
def system(_namespace: int, tmp_path: Path) -> Iterator[NamespaceSystem]:
    """The gateway."""
    gateway = NamespaceSystem(tmp_path)
    yield gateway
    gateway.plain_units.close()


@pytest.fixture
def read_only(system: NamespaceSystem) -> ReadOnlySystem:
    """The gateway, through a System that raises on writes."""
    return ReadOnlySystem(system)


@pytest.fixture
def network(_namespace: int) -> Iterator[Network]:
    """Further hosts: ``client = network.host("client"); network.connect(client, "wg0", ours, theirs)``."""
    wires = Network()
    yield wires
    wires.close()
