# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be told of the countries that rules name."""

from __future__ import annotations

from ...countries import CountryError, in_use, kept
from ...state import State
from ...system import System
from .snapshot import CountriesStatus, CountryStatus


def of_countries(system: System, state: State) -> CountriesStatus:
    """Return the countries of a generation as site.yml left it, and how their data is."""
    codes = in_use(state)
    data = state.agent.countries if state.agent else None
    if not codes or data is None:
        return CountriesStatus()
    note = kept.note(system)
    countries = tuple(_country(system, code) for code in sorted(codes))
    return CountriesStatus(countries, data.refresh, note.good or None, note.problem)


def _country(system: System, code: str) -> CountryStatus:
    try:
        found = kept.country_data(system, code)
    except CountryError as error:
        return CountryStatus(code, problem=str(error))
    return CountryStatus(code, {str(family): len(networks) for family, networks in found.networks.items()})
