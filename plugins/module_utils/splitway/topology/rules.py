# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a policy: kinds of match, freely combined, and an egress."""

from __future__ import annotations

from typing import Any, Callable, Optional, TypeVar

from ..services import WITH_PORTS, asked
from .countries import country
from .domains import domain
from .model import BLOCK, DIRECT, Network, Rule
from .networks import network
from .reading import Fields, Parse, good, mappings
from .scalars import boolean, choice
from .schedules import rule_schedule
from .services import merged, ports, protocol
from .words import Words

MATCHES = ("domain", "network", "list", "country", "protocol", "port", "schedule")
RULE_KEYS = (*MATCHES, "egress", "enabled")
SEED_RULE_KEYS = ("type", "value", "action", "enabled")
PROXY = "proxy"  # the seeds' word for a client's own upstream
T = TypeVar("T")


def read_rules(
    fields: Fields, known: Words, upstream: Optional[str] = None, *, client: bool = False
) -> tuple[Rule, ...]:
    """Return the enabled rules in order, exact repetitions left out. A client's may have the seeds' form."""
    rules = []
    for path, entry in mappings(fields.report, f"{fields.path}.rules", fields.values.get("rules")):
        if client and ("type" in entry or "value" in entry or "action" in entry):
            rules.append(_read_seed_rule(Fields(fields.report, path, entry, SEED_RULE_KEYS), upstream, fields))
        else:
            rules.append(_read_rule(Fields(fields.report, path, entry, RULE_KEYS), known))
    return good(rules)


def _read_rule(fields: Fields, known: Words) -> Optional[Rule]:
    """Return a rule; None if it is wrong or disabled."""
    before = len(fields.report.errors)
    if not any(fields.given(key) for key in MATCHES):
        fields.report.add(fields.path, f"matches nothing: a rule has at least one of {', '.join(MATCHES)}")
    domains, networks = _values(fields, "domain", domain), _values(fields, "network", network)
    lists, countries = _values(fields, "list", known.list), _values(fields, "country", country)
    protocols, ranges = _values(fields, "protocol", protocol), merged(_values(fields, "port", ports))
    protocols = asked(protocols, ranges)
    without = [name for name in protocols if name not in WITH_PORTS]
    if ranges and without:
        fields.report.add(
            f"{fields.path}.port", f"{without[0]} has no ports: leave it out, or give it a rule of its own"
        )
    schedule = rule_schedule(fields, known.schedules, known.zone)
    egress = fields.require("egress", known.egress)
    enabled = fields.get_or("enabled", boolean, default=True)
    if egress is None or not enabled or len(fields.report.errors) > before:
        return None
    return Rule(egress, domains, networks, lists, countries, protocols, ranges, schedule)


def _values(fields: Fields, key: str, parse: Parse[T]) -> tuple[T, ...]:
    """Return the values of a kind of match: one, or several in a list."""
    value = fields.values.get(key)
    if isinstance(value, list):
        return good(fields.require_entries(key, parse))
    return good([fields.get(key, parse)])


def _read_seed_rule(fields: Fields, upstream: Optional[str], client: Fields) -> Optional[Rule]:
    """Return the rule of the seeds' form {type, value, action}; None if it is wrong or disabled."""
    kind = fields.require("type", choice("a type of rule", ("domain", "ip")))
    domains: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    if kind == "ip":
        networks = _required(fields, "value", network)
    elif kind == "domain":
        domains = _required(fields, "value", domain)
    action = fields.require("action", choice("an action", (PROXY, DIRECT, BLOCK)))
    if action == PROXY and not client.given("upstream"):
        fields.report.add(f"{fields.path}.action", f'"{PROXY}" needs an upstream, and the client has none')
    egress = upstream if action == PROXY else action
    if not fields.get_or("enabled", boolean, default=True) or egress is None or not (domains or networks):
        return None
    return Rule(egress, domains, networks)


def _required(fields: Fields, key: str, parse: Callable[[Any], T]) -> tuple[T, ...]:
    return good([fields.require(key, parse)])
