# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a packet in a chain of others: walked rule by rule, as the kernel does.

Where a rule depends on what is not known here, both ways are followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .model import ACCEPT, CONTINUE, DROP, RETURN, UNKNOWN, Base, Packet, Rule, Table

_DEEPEST = 32  # jumps; the kernel itself takes 16


@dataclass(frozen=True)
class End:
    """One end that a packet may come to."""

    verdict: str  # ACCEPT | DROP | RETURN | UNKNOWN
    where: str = ""  # the chain and the rule that decide


def ends(base: Base, packet: Packet) -> frozenset[End]:
    """Return the ends that a packet may come to in a chain that the kernel calls."""
    if packet.hook != base.hook or packet.family not in base.families:
        return frozenset((End(ACCEPT),))
    found = _walk(base.table, base.chain, packet, 0)
    policy = End(base.policy, f"{base.table.name} {base.chain}: its policy is {base.policy}")
    return frozenset(policy if end.verdict == RETURN else end for end in found)


def _walk(table: Table, chain: str, packet: Packet, depth: int) -> frozenset[End]:
    found: set[End] = set()
    for rule in table.chains.get(chain, ()) if depth < _DEEPEST else ():
        met = _met(rule, packet)
        if met is False or rule.leads == CONTINUE:
            continue
        if rule.jumps:
            below = _walk(table, rule.leads, packet, depth + 1)
            if rule.returns:
                comes_back = End(RETURN) in below
                below -= {End(RETURN)}
            else:
                comes_back = False
        else:
            where = "" if rule.leads == RETURN else f"{table.name} {chain}: {rule.text}"
            below, comes_back = frozenset((End(rule.leads, where),)), False
        found |= below
        if met and not comes_back:
            return frozenset(found)
    return frozenset((*found, End(RETURN)))


def _met(rule: Rule, packet: Packet) -> Optional[bool]:
    answers = {test(packet) for test in rule.tests}
    if False in answers:
        return False
    return None if None in answers else True


def sure_drop(found: frozenset[End]) -> bool:
    """Return whether nothing but being dropped may happen."""
    return all(end.verdict == DROP for end in found)


def may_drop(found: frozenset[End]) -> bool:
    """Return whether being dropped may happen."""
    return any(end.verdict in (DROP, UNKNOWN) for end in found)
