# SPDX-License-Identifier: GPL-3.0-or-later
"""Which gateways of a fleet carry which client. Pure; the same answer on every controller."""

from __future__ import annotations

from .model import Change, Gateway, Member, Place, Placement, PlacementError, Plan
from .planning import plan

__all__ = ["Change", "Gateway", "Member", "Place", "Placement", "PlacementError", "Plan", "plan"]
