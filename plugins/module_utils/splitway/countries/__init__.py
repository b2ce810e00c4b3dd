# SPDX-License-Identifier: GPL-3.0-or-later
"""Which networks belong to a country: from data that is on the gateway, or is read on the controller."""

from ..state import State
from .errors import CountryError
from .kept import networks

__all__ = ["CountryError", "in_use", "networks"]


def in_use(state: State) -> frozenset[str]:
    """Return the countries that rules of a state name."""
    return frozenset(state.marks.countries.values()) if state.marks else frozenset()
