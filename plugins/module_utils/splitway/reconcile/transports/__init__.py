# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `transports`: WebSockets that carry WireGuard and proxies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ...state import Transports
from ...system import System
from ..base import Change


@dataclass(frozen=True)
class Current:
    """What the host has of it."""


def read(system: System, desired: Optional[Transports]) -> Current:
    del system, desired
    return Current()


def plan(desired: Optional[Transports], current: Current) -> tuple[Change, ...]:
    del desired, current
    return ()


def apply(system: System, changes: tuple[Change, ...]) -> None:
    del system, changes
