# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge from an action plugin to the data of the countries that a topology names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.compiler.countries import (
    country_data,
    named_countries,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.countries import CountryError
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.countries.on_controller import on_controller
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.naming import static_name
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.present import with_countries
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import (
    FAMILIES,
    State,
    to_data,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.model import Topology

CACHE = Path("~/.cache/splitway/countries")
"""Where the controller keeps the last good data."""


class NamedCountries:
    """The countries that a topology names: their data is the gateway's to get, or read here. Raises CountryError."""

    def __init__(self, topology: Topology) -> None:
        self._codes = sorted(named_countries(topology))
        self._data = country_data(topology.countries)
        self._networks: Optional[Callable[[str, int], tuple[str, ...]]] = None
        self._problem = ""
        if self._codes and topology.countries.where == "controller":
            try:
                self._networks, self._problem = on_controller(self._data, self._codes, CACHE.expanduser())
            except CountryError as error:
                raise CountryError(f"splitway_countries: {error}") from error

    def digests(self) -> dict[str, str]:
        """Return what is another when the networks that go with the topology are."""
        known = self._networks
        if known is None:
            return {}
        return {
            f"country {code} {family}": static_name("", known(code, family))
            for code in self._codes
            for family in FAMILIES
        }

    def said(self) -> dict[str, Any]:
        """Return what the gateway has to get, and what is to be said to the operator."""
        if self._networks is not None:
            problem = f"splitway_countries: {self._problem}"
            return {"countries": {}, "packages": [], **({"warnings": [problem]} if self._problem else {})}
        if not self._codes:
            return {"countries": {}, "packages": []}
        sources = to_data(self._data.sources)
        packages = ["python3-maxminddb"] if any(source["format"] == "maxmind" for source in sources) else []
        return {"countries": {"countries": self._codes, "sources": sources}, "packages": packages}

    def filled(self, state: State) -> State:
        """Return the state with the networks that were read here."""
        return state if self._networks is None else with_countries(state, self._networks)
