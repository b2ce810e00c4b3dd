# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of lists → dnsmasq lines. dnsmasq obeys one line a name, the longest that matches.

So each line names the sets of every list that holds its domain *or a parent of it* (suffix
closure), and a domain whose closure equals that of its nearest remaining parent needs no line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# dnsmasq cuts a configuration line at 1024 bytes, or dies of it (measured on 2.90).
LONGEST_LINE = 1000

Holders = frozenset[int]  # indices of the lists that hold a name


@dataclass(frozen=True)
class Names:
    """Each domain that needs a line, and the lists that hold it."""

    holders: dict[str, Holders]

    def crowds(self, fits: Mapping[str, bool]) -> dict[Holders, list[str]]:
        """Return the domains whose sets do not fit into one line, by their holders."""
        crowds: dict[Holders, list[str]] = {}
        for domain, holders in self.holders.items():
            if not fits[domain]:
                crowds.setdefault(holders, []).append(domain)
        return crowds


def close(domains_of: Sequence[Iterable[str]]) -> Names:
    """Return the closed and pruned names of lists; `domains_of[i]` are the domains of list `i`."""
    direct: dict[str, set[int]] = {}
    for index, domains in enumerate(domains_of):
        for domain in domains:
            direct.setdefault(domain, set()).add(index)
    interned: dict[Holders, Holders] = {}
    closed: dict[str, Holders] = {}
    kept: dict[str, Holders] = {}
    for domain in sorted(direct, key=lambda name: (name.count("."), name)):  # parents first
        inherited = closed.get(nearest_parent(domain, closed), frozenset())
        holders = inherited | direct[domain]
        holders = interned.setdefault(holders, holders)
        closed[domain] = holders
        if holders is not inherited:
            kept[domain] = holders
    return Names(kept)


def nearest_parent(domain: str, known: Mapping[str, object]) -> str:
    """Return the longest proper parent domain that is known, "" when none is."""
    while True:
        _label, dot, domain = domain.partition(".")
        if not dot or domain in known:
            return domain if dot else ""


def line(domain: str, numbers: Iterable[int], backend: str) -> str:
    """Return the dnsmasq line that puts the domain's addresses into these learned sets."""
    if backend == "nftables":
        sets = (f"{family}#inet#splitway#sw{family}d{number}" for number in numbers for family in (4, 6))
        return f"nftset=/{domain}/{','.join(sets)}"
    sets = (f"sw{family}d{number}" for number in numbers for family in (4, 6))
    return f"ipset=/{domain}/{','.join(sets)}"
