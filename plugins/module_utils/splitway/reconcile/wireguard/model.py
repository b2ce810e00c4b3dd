# SPDX-License-Identifier: GPL-3.0-or-later
"""What plan hands to those that carry its changes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...state import Device
from .live import Live


@dataclass(frozen=True)
class Target:
    """One interface as it should be, and as it was read; every step of the interface has the same."""

    device: Device
    owner: str
    live: Optional[Live]
    private_key: Optional[str] = field(repr=False)  # None: to be made
    keys: Mapping[str, Optional[str]]  # peer's name → public key; None: to be made
    endpoints: Mapping[str, tuple[str, ...]]  # as read; none: it could not be resolved
    addresses: tuple[str, ...]  # those of the families that the host has


@dataclass(frozen=True)
class Step:
    """What one Change does: the payload."""

    kind: str
    interface: str
    value: str = ""
    target: Optional[Target] = None  # None in removals
