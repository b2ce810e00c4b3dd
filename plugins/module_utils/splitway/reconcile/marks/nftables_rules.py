# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy's rules as lines of its nftables chain, and the chains that they lead through.

A set's match is either one line, or two: static networks are looked up in a chain that all policies share, which
leaves its answer in the lowest bit of our part of the packet's mark. Of a rule that asks for several things each is
asked in a chain of its own, which takes the answer before it away and returns when it is not met.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from ...services import NUMBERS, Ports, asked
from ...state import MarkRule, Marks
from ...verdict import groups
from .networks import destination_matches

Chains = dict[str, list[str]]

_IP = {4: "ip", 6: "ip6"}


def lines(marks: Marks, version: int, rules: Iterable[MarkRule], chains: Chains) -> list[str]:
    """Return the lines of the rules in force; the chains that they need are added to `chains`."""
    return [line for rule in rules if rule.active for line in _lines(marks, version, rule, chains)]


def _lines(marks: Marks, version: int, rule: MarkRule, chains: Chains) -> list[str]:
    target = f"egress_{rule.egress}"
    parts = groups(rule)
    if any(all(marks.networks.get(name) == () for name in group) for group in parts):
        return []  # a country without networks of this family
    services = _services(rule.protocols, rule.ports, version)
    if not parts:
        return [f"{service} goto {target}".lstrip() for service in services]
    verdict = f"goto {target}"
    for group in reversed(parts[1:]):
        verdict = f"jump {_chain(marks, version, group, verdict, chains)}"
    found = [line for name in parts[0] for line in match(marks, version, name, verdict, chains)]
    if services == [""]:
        return found
    name = _named("when", version, found, chains)
    return [f"{service} jump {name}" for service in services]


def _chain(marks: Marks, version: int, group: Sequence[str], verdict: str, chains: Chains) -> str:
    """Return the name of a chain that gives the verdict when one of the sets holds the destination, else returns."""
    found = [line for name in group for line in match(marks, version, name, verdict, chains)]
    return _named("also", version, [clear(marks.mask), *found], chains)


def _named(word: str, version: int, content: list[str], chains: Chains) -> str:
    """Return the name of a chain with this content: the same for all rules that need it."""
    name = f"{word}{version}_{hashlib.sha256(chr(10).join(content).encode()).hexdigest()[:12]}"
    chains[name] = content
    return name


def match(marks: Marks, version: int, name: str, verdict: str, chains: Chains) -> list[str]:
    """Return the lines (none for an empty set) that give a set's destinations the verdict."""
    if name not in marks.networks:
        # Use refreshes nothing: an address is gone twice the retention after its last answer (learned.py).
        return [f"{_IP[version]} daddr @{name} {verdict}"]
    if not marks.networks[name]:
        return []
    # One chain for all policies, whatever egress they give it: it leaves its answer in the mark. With one a set and
    # egress, 50 lists and 20 upstreams made 1,000 of them, which cost dnsmasq and each reading of the table.
    flag = marks.mask & -marks.mask
    chain = f"in_{name}"
    chains[chain] = [
        f"{line} meta mark set meta mark | {flag:#x} return"
        for line in destination_matches(version, marks.networks[name])
    ]
    return [f"jump {chain}", f"meta mark & {flag:#x} == {flag:#x} {verdict}"]


def clear(mask: int) -> str:
    """Return the line that takes out of the mark what is ours: an answer that a chain left there."""
    return f"meta mark set meta mark & {0xFFFFFFFF & ~mask:#x}"


def _services(protocols: tuple[str, ...], ports: tuple[Ports, ...], version: int) -> list[str]:
    """Return the matches of which one has to be met; one that is always met where nothing is asked."""
    wanted = asked(protocols, ports)
    if not wanted:
        return [""]
    if not ports:
        numbers = sorted(NUMBERS[name][version] for name in wanted)
        return [f"meta l4proto {{ {', '.join(map(str, numbers))} }}"]
    # A range would make the set of ports one of intervals, which dnsmasq's libnftables reads whole (networks.py).
    single = ", ".join(str(part.first) for part in ports if part.first == part.last)
    matches = [f"{{ {single} }}"] if single else []
    matches += [str(part) for part in ports if part.first != part.last]
    return [f"{name} dport {part}" for name in wanted for part in matches]
