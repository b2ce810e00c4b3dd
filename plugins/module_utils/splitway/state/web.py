# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `web`: PAC files and the server that gives them out."""

from __future__ import annotations

from dataclasses import dataclass

from .ports import PortRange


@dataclass(frozen=True)
class Web:
    """What browsers are told, and where they ask for it."""

    listen: tuple[str, ...]  # addresses
    port: PortRange
    modes: tuple[str, ...] = ("combined",)  # the operator's, then those that the agent may fall back to
