# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of this host that the host itself chooses: the first of a range that nobody else has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class PortRange:
    """A port of ours: one of a range, both ends of which belong to it."""

    key: str  # what it is for, e.g. "transport/us/wireguard": under it the choice is remembered
    low: int
    high: int
    chosen: Optional[int] = None  # the host's to know (present.py)

    @property
    def port(self) -> int:
        """The port chosen on this host; before there is a choice, the first."""
        return self.low if self.chosen is None else self.chosen
