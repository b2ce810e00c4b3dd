# SPDX-License-Identifier: GPL-3.0-or-later
"""The exception of this package."""

from __future__ import annotations


class DatabaseError(ValueError):
    """A database cannot be read, or is not wg-easy's; the message says why and what to do, without its path."""
