# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_policies`: the rules that lead names and networks somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional

from .domains import domain
from .errors import Report
from .model import BLOCK, DIRECT, Network, Policy, Rule
from .networks import network
from .reading import Fields, good, mappings, named
from .scalars import boolean, choice, list_name, reference

POLICY_KEYS = ("rules", "default")
MATCHES = ("domain", "network", "list")
RULE_KEYS = (*MATCHES, "egress", "enabled")
SEED_RULE_KEYS = ("type", "value", "action", "enabled")
PROXY = "proxy"  # the seeds' word for a client's own upstream


@dataclass(frozen=True)
class Words:
    """The parsers of everything that can be named."""

    egress: Callable[[Any], str]
    upstream: Callable[[Any], str]
    proxy: Callable[[Any], str]  # an upstream or a group
    list: Callable[[Any], str]
    policy: Callable[[Any], str]


def words(upstreams: Any, groups: Any, lists: Any, policies: Any) -> Words:
    """Return the words that a topology declares, be the declarations themselves right or wrong."""
    tunnels, bundles = _declared(upstreams), _declared(groups)
    proxies = None if tunnels is None or bundles is None else tunnels | bundles
    return Words(
        egress=reference(
            "an egress (direct, block, an upstream or a group)",
            proxies if proxies is None else proxies | {DIRECT, BLOCK},
        ),
        upstream=reference("an upstream", tunnels),
        proxy=reference("an upstream or a group", proxies),
        list=reference("a list", _declared(lists)),
        policy=reference("a policy", _declared(policies)),
    )


def _declared(entries: Any) -> Optional[frozenset[str]]:
    """Return the names in a list of mappings or in a mapping; None if it is neither."""
    if entries is None:
        return frozenset()
    if isinstance(entries, list):  # of upstreams or groups
        entries = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    elif not isinstance(entries, dict):
        return None
    return frozenset(name for name in entries if isinstance(name, str))


def read_policies(report: Report, entries: Any, known: Words) -> tuple[tuple[str, Policy], ...]:
    """Return the policies by name."""
    policies = []
    for path, key, value in named(report, "splitway_policies", entries, list_name):
        fields = Fields(report, path, value, POLICY_KEYS)
        default = fields.get_or("default", known.egress, DIRECT)
        policies.append((key, Policy(read_rules(fields, known), default)))
    return tuple(policies)


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
    given = [key for key in MATCHES if fields.given(key)]
    if len(given) != 1:
        has = " and ".join(given) or "no match"
        fields.report.add(fields.path, f"has {has}: a rule has exactly one of domain, network, list")
    match_domain = fields.get("domain", domain)
    match_network = fields.get("network", network)
    match_list = fields.get("list", known.list)
    egress = fields.require("egress", known.egress)
    if not fields.get_or("enabled", boolean, default=True) or egress is None or len(given) != 1:
        return None
    return Rule(egress, match_domain, match_network, match_list)


def _read_seed_rule(fields: Fields, upstream: Optional[str], client: Fields) -> Optional[Rule]:
    """Return the rule of the seeds' form {type, value, action}; None if it is wrong or disabled."""
    kind = fields.require("type", choice("a type of rule", ("domain", "ip")))
    match_domain: Optional[str] = None
    match_network: Optional[Network] = None
    if kind == "ip":
        match_network = fields.require("value", network)
    elif kind == "domain":
        match_domain = fields.require("value", domain)
    action = fields.require("action", choice("an action", (PROXY, DIRECT, BLOCK)))
    if action == PROXY and not client.given("upstream"):
        fields.report.add(f"{fields.path}.action", f'"{PROXY}" needs an upstream, and the client has none')
    egress = upstream if action == PROXY else action
    if not fields.get_or("enabled", boolean, default=True) or egress is None:
        return None
    return Rule(egress, match_domain, match_network)
