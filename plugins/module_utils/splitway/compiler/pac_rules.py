# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules → the tables of a PAC file: what a browser can know of the verdict on a destination.

The first rule that matches decides, as everywhere. A browser has a name or an address, and a port. Where the verdict
depends on more (an address's country, the hour), all verdicts that are possible are collected, and unless they are
one the answer is the proxy: there the gateway decides.

Networks are for addresses that are written in a URL, domains for names. A name is not looked up to see whether a
network holds it: that would tell the browser's resolver of it, and without it every unlisted name would have to go
through the proxy.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, Optional

from ..pac import DIRECT, PROXY, Tables, pack
from ..services import Ports
from ..topology.model import Network
from ..verdict import NetworkIndex, network_index
from .names import close, nearest_parent

LAST_PORT = 65535
DIGITS = {4: 8, 6: 32}  # hexadecimal, of an address


@dataclass(frozen=True)
class Kind:
    """One kind of what a rule asks for; a destination is held by one of the domains or of the networks."""

    domains: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True)
class PacRule:
    """What a request has to match, each kind of it, and the answer that it gets."""

    answer: str
    kinds: tuple[Kind, ...] = ()
    ports: tuple[Ports, ...] = ()
    address: bool = False  # it asks for more of the address, its country for one
    schedule: bool = False  # it is not always in force, and a browser's clock is not the gateway's


Held = tuple[Optional[bool], ...]
"""Whether each kind of all rules, one after the other, holds a destination; None: that cannot be known."""


class _Judge:
    """Gives destinations their classes, which are numbered in the order of their first use."""

    def __init__(self, spans: Sequence[int]) -> None:
        self.spans = spans
        self.classes: dict[str, int] = {}

    def number(self, answer: str) -> int:
        return self.classes.setdefault(answer, len(self.classes))

    def by(self, rules: Sequence[PacRule], default: str) -> Callable[[Held], int]:
        """Return a function that gives the class by these rules."""

        @functools.cache
        def judged(held: Held) -> int:
            parts = iter(held)
            asked = [(rule, tuple(next(parts) for _ in rule.kinds)) for rule in rules]
            return self.number("".join(_answer(asked, default, port) for port in self.spans))

        return judged


def compile_tables(
    rules: Sequence[PacRule], default: str, local: Iterable[str], special: Mapping[int, Sequence[Network]]
) -> Tables:
    """Return the tables for rules and the answer when none of them matches.

    `local`: domains that are asked directly whatever the rules say; `special`: by family, networks that are asked
    directly unless a rule has a network inside them.
    """
    judge = _Judge(_spans(rules))
    rest = judge.by(rules, default)(tuple(False for rule in rules for _ in rule.kinds))
    names = _names(rules, default, dict.fromkeys(local, judge.number(DIRECT * len(judge.spans))), judge)
    v4, v6 = (_literals(rules, default, special[family], family, judge) for family in (4, 6))
    return Tables(
        answers=tuple(judge.classes),
        rest=rest,
        names=tuple(pack(name for name in names if names[name] == wanted) for wanted in judge.classes.values()),
        depth=max((domain.count(".") + 1 for domain in names), default=0),
        v4=v4,
        v6=v6,
        spans=tuple(judge.spans),
    )


def _spans(rules: Sequence[PacRule]) -> tuple[int, ...]:
    edges = {edge for rule in rules for ports in rule.ports for edge in (ports.first, ports.last + 1)}
    return (0, *sorted(edges - {0, LAST_PORT + 1}))


def _answer(asked: Sequence[tuple[PacRule, Held]], default: str, port: int) -> str:
    possible = set()
    for rule, held in asked:
        match = _matches(rule, held, port)
        if match is not False:
            possible.add(rule.answer)
        if match:
            break
    else:
        possible.add(default)
    return possible.pop() if len(possible) == 1 else PROXY


def _matches(rule: PacRule, held: Held, port: int) -> Optional[bool]:
    """Return whether a rule matches; None when that cannot be known."""
    if rule.ports and not any(ports.first <= port <= ports.last for ports in rule.ports):
        return False
    if False in held or (None in held and True not in held):
        return False  # nothing that it asks for names the destination
    return None if None in held or rule.address or rule.schedule else True


def _names(rules: Sequence[PacRule], default: str, local: Mapping[str, int], judge: _Judge) -> dict[str, int]:
    """Return the class of each domain whose nearest parent here has another; those of `local` are given."""
    kinds = [kind for rule in rules for kind in rule.kinds]
    judged = judge.by(rules, default)

    def judgement(holders: frozenset[int]) -> int:
        return judged(
            tuple(True if place in holders else None if kind.networks else False for place, kind in enumerate(kinds))
        )

    found = {domain: number for domain, number in local.items() if not nearest_parent(domain, local)}
    for domain, holders in close([kind.domains for kind in kinds]).holders.items():  # parents first
        parent = nearest_parent(domain, found)
        if domain in found or parent in local:
            continue
        number = judgement(holders)
        if number != (found[parent] if parent else judgement(frozenset())):
            found[domain] = number
    return found


def _literals(
    rules: Sequence[PacRule], default: str, special: Sequence[Network], family: int, judge: _Judge
) -> tuple[str, ...]:
    """Return the classes of a family's addresses, each with the address at which its range begins."""
    reserved = network_index(map(str, special))
    named = [rule for rule in rules if rule.kinds and not rule.address]  # others do not reach the special ranges
    outer, inner = (
        [(kind, _index(kind, family, special, inside=inside)) for rule in asked for kind in rule.kinds]
        for asked, inside in ((rules, False), (named, True))
    )
    outside, inside = judge.by(rules, default), judge.by(named, DIRECT)
    indices = [reserved, *(index for _, index in (*outer, *inner))]
    edges = {0, *(edge for index in indices for edge in (*index.starts, *(end + 1 for end in index.ends)))}
    entries = []
    before = None
    for edge in sorted(edges - {1 << DIGITS[family] * 4}):
        if reserved.holds(edge):
            number = inside(tuple(index.holds(edge) for _, index in inner))
        else:  # an address may be one of a name that is listed
            number = outside(tuple(index.holds(edge) or (None if kind.domains else False) for kind, index in outer))
        if number != before:
            entries.append(f"{edge:0{DIGITS[family]}x}={number}")
            before = number
    return tuple(entries)


def _index(kind: Kind, family: int, special: Sequence[Network], *, inside: bool) -> NetworkIndex:
    """Return the networks of a kind that lie inside a special range, or those that do not."""
    return network_index(
        str(network)
        for network in kind.networks
        if network.version == family and any(network.subnet_of(range_) for range_ in special) == inside  # type: ignore[arg-type]
    )
