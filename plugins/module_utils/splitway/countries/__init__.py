# SPDX-License-Identifier: GPL-3.0-or-later
"""Which networks belong to a country: from data that is on the gateway, or is read on the controller."""

from .errors import CountryError
from .kept import networks

__all__ = ["CountryError", "networks"]
