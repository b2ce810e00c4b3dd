# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rule decides on one destination, and which rules it hides: by the verdict that flows and the kernel obey."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Callable, Optional

from ..services import NUMBERS, Service
from ..state import FamilyMarks, MarkPolicy, MarkRule, State
from ..verdict import applicable, groups, holder, matching, network_range, serves
from .model import DECIDES, HIDDEN, PASSED, POSSIBLE, RESTING, Facts, Held, RuleStep
from .names import Fill, Words


@dataclass(frozen=True)
class Verdict:
    """What the rules say."""

    number: int  # of the egress
    steps: tuple[RuleStep, ...]
    special: Optional[bool]
    by_default: bool
    missing: tuple[str, ...]  # sets that the kernel does not have


@dataclass
class Judge:
    """Knows all sets, so far as they can be known: asked once for each address of a destination."""

    state: State
    fill: Fill
    facts: Facts
    named: bool  # the destination is a name
    port: Optional[int] = None
    protocol: Optional[str] = None
    static: dict[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        networks = self.state.marks.networks if self.state.marks else {}
        self.static = {item.name: item.members for item in self.state.sets if item.timeout is None}
        self.static.update(networks)
        self._countries = self.state.marks.countries if self.state.marks else {}  # which only a host knows
        self._words = Words(self.state)
        self._in_networks = holder(self.static, {})

    def verdict(
        self,
        version: int,
        family: FamilyMarks,
        policy: MarkPolicy,
        address: Optional[str],
        egress_name: Callable[[int], str],
    ) -> Verdict:
        """Return what the policy says of an address; without one, of whatever the name will resolve to."""
        found: dict[str, Held] = {}

        def held(name: str) -> Held:
            if name not in found:
                found[name] = self._held(name, address)
            return found[name]

        def holds(name: str, _destination: str) -> bool:
            return held(name).holds is True

        rules, default = applicable(family, policy, address or "", holds)
        service = self._service(version)
        matches = tuple(matching(rules, address or "", holds, service))
        decides = matches[0] if matches else len(rules)
        steps = tuple(
            self._step(index, rule, decides, held, serves(rule, version, service), egress_name(rule.egress))
            for index, rule in enumerate(rules)
        )
        return Verdict(
            number=rules[decides].egress if matches else default,
            steps=steps,
            special=held(family.special).holds if family.special else False,
            by_default=not matches,
            missing=tuple(sorted(entry.set for entry in found.values() if entry.missing)),
        )

    def _service(self, version: int) -> Optional[Service]:
        """Return what is asked for, as far as it was said; a port alone is TCP's."""
        if self.protocol is None and self.port is None:
            return None
        return Service(NUMBERS[self.protocol or "tcp"][version], self.port)

    def _step(
        self,
        index: int,
        rule: MarkRule,
        decides: int,
        held: Callable[[str], Held],
        served: Optional[bool],
        egress: str,
    ) -> RuleStep:
        asked = [[held(name) for name in group] for group in groups(rule)]
        sets = tuple(entry for group in asked for entry in group)
        answers = [_any(entry.holds for entry in group) for group in asked] + [served]
        if not rule.active:
            part = RESTING
        elif all(answers):
            part = DECIDES if index == decides else HIDDEN
        else:
            part = POSSIBLE if index < decides and False not in answers else PASSED
        holding = [entry for entry in sets if entry.holds]
        # The name's line fills none of these: they have the address from another name.
        shared = self.named and bool(holding) and all(entry.learned and entry.by is None for entry in holding)
        return RuleStep(index + 1, self._words.of_rule(rule), egress, sets, part, shared)

    def _held(self, name: str, address: Optional[str]) -> Held:
        if name in self._countries:
            return Held(name, learned=False, holds=None)
        if name in self.static:
            return self._networks(name, address)
        domain = None if self.facts.in_hosts_file else self.fill.domains.get(name)
        if address is None:
            return Held(name, learned=True, holds=domain is not None, by=domain)
        if self.facts.holds is None:
            return Held(name, learned=True, holds=None)
        holds = self.facts.holds(name, address)
        return Held(name, learned=True, holds=holds is True, by=domain, missing=holds is None)

    def in_networks(self, name: str, address: str) -> bool:
        """Return whether a static set holds an address."""
        return self._in_networks(name, address)

    def _networks(self, name: str, address: Optional[str]) -> Held:
        members = self.static[name]
        if address is None:
            return Held(name, learned=False, holds=None if members else False)
        if not self._in_networks(name, address):
            return Held(name, learned=False, holds=False)
        return Held(name, learned=False, holds=True, by=_holding_network(members, address))


def _any(answers: Iterable[Optional[bool]]) -> Optional[bool]:
    """Return whether one is true; None when that cannot be known."""
    known = tuple(answers)
    return True if True in known else (None if None in known else False)


def _holding_network(members: Iterable[str], address: str) -> Optional[str]:
    """Return the smallest of the networks that hold the address."""
    number = int(ipaddress.ip_address(address))
    sizes = ((network_range(network), network) for network in members)
    holding = [(last - first, network) for (first, last), network in sizes if first <= number <= last]
    return min(holding)[1] if holding else None
