# SPDX-License-Identifier: GPL-3.0-or-later
"""What columns of tables and keys of documents are called, and what the entries below them are."""

from __future__ import annotations

from collections.abc import Iterable

from ...topology.errors import shown
from ..entries import KEYWORD, PATTERN, REGEXP, Collector, Place

DOMAIN, FULL, NETWORK, EITHER = "domain", "full", "network", "either"
_NAMES = ("domain", "domains", "domain_suffix", "domain-suffix", "hostname", "fqdn")
_NETWORKS = (
    *(
        "network",
        "networks",
        "cidr",
        "cidrs",
        "ip",
        "ips",
        "ip_cidr",
        "ip-cidr",
        "ip-cidr6",
        "ipv4_cidrs",
        "ipv6_cidrs",
    ),
    *("ip_prefix", "ipv6_prefix", "ipv4prefix", "ipv6prefix", "ipv4", "ipv6", "prefix", "subnet", "address"),
    *("addresses", "range"),
)
_KINDS = {
    **dict.fromkeys(_NAMES, DOMAIN),
    **dict.fromkeys(("full", "host"), FULL),
    **dict.fromkeys(_NETWORKS, NETWORK),
    **dict.fromkeys(("value", "entries"), EITHER),
    **dict.fromkeys(("keyword", "domain_keyword", "domain-keyword"), KEYWORD),
    **dict.fromkeys(("regexp", "regex", "domain_regex", "domain-regex"), REGEXP),
    **dict.fromkeys(("wildcard", "domain_wildcard"), PATTERN),
}


def of(name: str) -> str:
    """Return the kind of what is called so; empty if nothing of ours is."""
    return _KINDS.get(name.strip().lower(), "")


def column(names: Iterable[str]) -> bool:
    """Return whether one of some columns holds names or networks."""
    return any(of(name) in (DOMAIN, FULL, NETWORK) for name in names)


def take(found: Collector, place: Place, name: str, value: str) -> None:
    """Take an entry by what its column, key or type is called."""
    kind = of(name)
    if kind in (DOMAIN, FULL):
        found.domain(place, value, widened=kind == FULL)
    elif kind == NETWORK:
        found.network(place, value)
    elif kind == EITHER:
        found.either(place, value)
    elif kind:
        found.skip(place, value, kind)
    else:
        found.mistake(place, value, f"{shown(name)} is not a type (domain, full, network, keyword, regexp)")
