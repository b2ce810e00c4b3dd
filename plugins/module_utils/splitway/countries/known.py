# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of countries as this host knows them."""

from __future__ import annotations

from ..reconcile.base import ReconcileError
from ..system import System


class CountryError(ReconcileError):
    """This host has no data of a country; the message names both."""


def networks(system: System, country: str, family: int) -> tuple[str, ...]:
    """Return the canonical, collapsed networks of a country in one family. Raises CountryError."""
    del system
    raise CountryError(f"there is no data of the country {country} (IPv{family}) on this host")
