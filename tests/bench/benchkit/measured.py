# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway in a network namespace that measures what the engine does: programs, netlink, units, by kind."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from namespaces import _MARKER, NamespaceSystem, PlainUnits

import benchkit  # noqa: F401  (makes the following importable)
from splitway.reconcile import services

READING, WRITING, STARTING, UNITS = "reading", "writing", "starting", "units"
"""Programs that only read; programs and netlink that change the kernel; WireGuard in user space; other units."""


class _Units(PlainUnits):
    """Units whose starts are measured: those of WireGuard in user space apart.

    Their processes are our children: the other processes of a machine are not looked at, which takes longer the more
    there are, and which systemd does not do.
    """

    def pids(self, name: str) -> list[int]:
        mark = f"{_MARKER}={self.owner}:{name}\0".encode()
        return [process for process in _children() if mark in _environment(process)]

    def restart(self, name: str) -> None:
        template, _, _ = services.WIREGUARD.partition("@")
        with self.system.timed(STARTING if name.startswith(f"{template}@") else UNITS):  # type: ignore[attr-defined]
            super().restart(name)


def _children() -> list[int]:
    threads = Path("/proc/self/task").iterdir()
    return [int(word) for thread in threads for word in (thread / "children").read_text(encoding="ascii").split()]


def _environment(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return b""


class MeasuredSystem(NamespaceSystem):
    """A gateway that keeps the seconds and the number of what it was asked to do, by kind."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.plain_units = _Units(self, self.plain_units.folder)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.seconds: dict[str, float] = defaultdict(float)
        self.programs: dict[str, int] = defaultdict(int)
        self.read_bytes = 0

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Add the body's seconds to a kind."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[kind] += time.perf_counter() - began

    def read(self, *argv: str, input: Optional[str] = None, timeout: float = 60) -> str:
        self.programs[READING] += 1
        with self.timed(READING):
            text = super().read(*argv, input=input, timeout=timeout)
        self.read_bytes += len(text)
        return text

    def run(self, *argv: str, input: Optional[str] = None, timeout: float = 120) -> str:
        self.programs[WRITING] += 1
        with self.timed(WRITING):
            return super().run(*argv, input=input, timeout=timeout)

    @contextmanager
    def netlink(self) -> Iterator[Any]:
        with self.timed(WRITING), super().netlink() as route:
            yield route
