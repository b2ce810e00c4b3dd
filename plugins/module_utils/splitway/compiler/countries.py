# SPDX-License-Identifier: GPL-3.0-or-later
"""Which countries a topology names, and where their data comes from."""

from __future__ import annotations

from ..state import CountryData, CountrySource
from ..topology.model import CountrySettings, Policy, Topology


def named_countries(topology: Topology) -> frozenset[str]:
    """Return the countries in all rules, also in those of policies that nobody has."""
    own = (client.policy for client in topology.clients if isinstance(client.policy, Policy))
    policies = (*(policy for _name, policy in topology.policies), *own)
    return frozenset(country for policy in policies for rule in policy.rules for country in rule.countries)


def country_data(settings: CountrySettings) -> CountryData:
    """Return the sources, wherever they are read."""
    sources = (CountrySource(source.location, source.format, source.checksum) for source in settings.sources)
    return CountryData(tuple(sources), settings.refresh)
