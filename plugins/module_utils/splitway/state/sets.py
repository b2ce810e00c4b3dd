# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `sets`: kernel sets of addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class AddressSet:
    """One kernel set. With a timeout it holds learned addresses, without one static networks.

    With a country it only stands for one: its networks are the host's to know (present.py).
    """

    name: str
    family: int
    timeout: Optional[int] = None  # seconds; None: static
    members: tuple[str, ...] = ()  # static networks; learned members are the kernel's own
    seed_from: Optional[str] = None  # learned: a set whose addresses a new set starts with
    comment: str = ""  # what it holds, in the operator's words
    country: str = ""  # ISO 3166-1 alpha-2, lower case
