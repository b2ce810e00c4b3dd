# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the agent tells."""

from __future__ import annotations

LEVELS = ("debug", "info", "warning", "error")
"""Each tells what it is named after, and what is graver."""
