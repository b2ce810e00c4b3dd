# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy's rules as lines of its iptables chain, in iptables-save's spelling, and the chains that they lead through.

iptables has no "or". A rule in which one thing has alternatives is a line for each of them. Where several things have,
the lines would be all combinations (100 lists in 30 countries: 6,600): each is asked in a chain of its own.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...services import Ports, asked
from ...state import MarkRule
from ...verdict import groups
from .iptables_io import PREFIX

_MULTIPORT = 15  # ports of one match (linux/netfilter/xt_multiport.h); a range counts twice

Chains = dict[str, list[str]]


@dataclass(frozen=True)
class Ends:
    """How rules end."""

    egress: str  # the verdict of an egress, to be formatted with its number
    decided: str  # the line that leaves the policy's chain if a chain that it jumped to gave a verdict


def lines(rules: Iterable[MarkRule], version: int, ends: Ends, chains: Chains) -> list[str]:
    """Return the lines of the rules in force; the chains that they need are added to `chains`."""
    return [line for rule in rules if rule.active for line in _lines(rule, version, ends, chains)]


def _lines(rule: MarkRule, version: int, ends: Ends, chains: Chains) -> list[str]:
    looked_up = [[f"-m set --match-set {name} dst" for name in group] for group in groups(rule)]
    first, *others = [list(_services(rule.protocols, rule.ports, version)), *looked_up]
    verdict = ends.egress.format(rule.egress)
    if sum(len(part) > 1 for part in (first, *others)) < 2:
        return [_joined(*matches, verdict) for matches in itertools.product(first, *others)]
    for part in reversed(others):
        verdict = f"-j {_chain(part, verdict, chains)}"
    # What is decided comes back from a chain: its verdict is a "goto", which returns to where the last jump was.
    return [*(_joined(match, verdict) for match in first), ends.decided]


def _chain(matches: Iterable[str], verdict: str, chains: Chains) -> str:
    """Return the name of a chain that gives the verdict when one of the matches is met: the same wherever needed."""
    content = [_joined(match, verdict) for match in matches]
    name = f"{PREFIX}-ALSO-{hashlib.sha256(chr(10).join(content).encode()).hexdigest()[:11]}"
    chains[name] = content
    return name


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))


def _services(protocols: tuple[str, ...], ports: tuple[Ports, ...], version: int) -> Iterator[str]:
    """Yield the matches of which one has to be met; one that is always met where nothing is asked."""
    wanted = asked(protocols, ports)
    if not wanted:
        yield ""
    for name in wanted:
        word = "ipv6-icmp" if name == "icmp" and version == 6 else name
        if not ports:
            yield f"-p {word}"
        for match in _ports(word, ports):
            yield f"-p {word} {match}"


def _ports(protocol: str, ports: Sequence[Ports]) -> Iterator[str]:
    if len(ports) == 1:
        yield f"-m {protocol} --dport {_spelled(ports[0])}"
        return
    chunk: list[Ports] = []
    for part in ports:
        if sum(map(_size, chunk)) + _size(part) > _MULTIPORT:
            yield _multiport(chunk)
            chunk = []
        chunk.append(part)
    if chunk:
        yield _multiport(chunk)


def _multiport(ports: Sequence[Ports]) -> str:
    return f"-m multiport --dports {','.join(map(_spelled, ports))}"


def _size(part: Ports) -> int:
    return 1 if part.first == part.last else 2


def _spelled(part: Ports) -> str:
    return str(part.first) if part.first == part.last else f"{part.first}:{part.last}"
