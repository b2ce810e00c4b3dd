# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception of the agent's commands."""

from __future__ import annotations


class AgentError(Exception):
    """A command cannot do what it was asked; the message is one line that says what to do."""
