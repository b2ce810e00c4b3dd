# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `proxies`: SOCKS5 and HTTP proxies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ...state import Proxies
from ...system import System
from ..base import Change


@dataclass(frozen=True)
class Current:
    """What the host has of it."""


def read(system: System, desired: Optional[Proxies]) -> Current:
    del system, desired
    return Current()


def plan(desired: Optional[Proxies], current: Current) -> tuple[Change, ...]:
    del desired, current
    return ()


def apply(system: System, changes: tuple[Change, ...]) -> None:
    del system, changes
