# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway whose daemons run as users of their own: in folders that they may enter, with accounts of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import NamespaceSystem, run_here


@pytest.fixture
def system(_namespace: int) -> Iterator[NamespaceSystem]:
    """The gateway."""
    folder = Path(tempfile.mkdtemp(dir="/run", prefix="splitway-test-"))
    folder.chmod(0o755)
    (folder / "root/etc").mkdir(parents=True)
    for name in ("passwd", "group", "shadow", "gshadow"):
        shutil.copy(f"/etc/{name}", folder / "root/etc" / name)
    run_here("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")  # squid leaves its shared memory behind
    gateway = NamespaceSystem(folder)
    yield gateway
    gateway.plain_units.close()
    run_here("umount", "/dev/shm")
    shutil.rmtree(folder)
