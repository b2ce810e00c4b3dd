# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy's rules as lines of its iptables chain, in iptables-save's spelling."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from ...services import Ports
from ...state import MarkRule
from ...verdict import groups

_MULTIPORT = 15  # ports of one match (linux/netfilter/xt_multiport.h); a range counts twice


def lines(rules: Iterable[MarkRule], version: int, target: str) -> Iterator[str]:
    """Yield the lines of the rules in force; `target` is formatted with the number of a rule's egress.

    A line is one of all combinations: iptables has no "or".
    """
    for rule in rules:
        if rule.active:
            sets = itertools.product(*groups(rule))
            for service, names in itertools.product(_services(rule.protocols, rule.ports, version), sets):
                matches = (*service, *(f"-m set --match-set {name} dst" for name in names))
                yield " ".join((*matches, f"-g {target.format(rule.egress)}"))


def _services(protocols: Sequence[str], ports: Sequence[Ports], version: int) -> Iterator[tuple[str, ...]]:
    if not protocols:
        yield ()
    for name in protocols:
        word = "ipv6-icmp" if name == "icmp" and version == 6 else name
        if not ports:
            yield (f"-p {word}",)
        for match in _ports(word, ports):
            yield f"-p {word}", match


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
