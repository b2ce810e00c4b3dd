# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with the data of countries."""

from __future__ import annotations

from ..reconcile.base import ReconcileError


class CountryError(ReconcileError):
    """There is no data of a country, or it cannot be read or believed; the message says which and why."""
