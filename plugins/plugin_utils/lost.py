# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the controller loses in the middle of a run."""

from __future__ import annotations

from typing import Any


def lost(error: Exception) -> dict[str, Any]:
    """Return the result of a step during which the connection broke: it failed, which the run's rescue handles."""
    return {"failed": True, "msg": f"the controller has lost the host, which goes back by itself: {error}"}
