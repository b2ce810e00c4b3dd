# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lists and which distinct policies there are: rules of one's own become private lists.

Sets belong to lists, never to clients. Neighbouring rules with single domains and networks and the
same egress form one private list; private lists and policies with the same content are one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

from ..schedules import Schedule
from ..services import Ports
from ..topology.model import List, Network, Policy, Rule, Topology
from .numbers import MOVED

Content = tuple[frozenset[str], frozenset[Network]]


@dataclass
class Bundle:
    """One list as the compiler sees it: its content and the keys under which it keeps its number, the best first."""

    keys: list[str]
    domains: tuple[str, ...]
    networks: tuple[Network, ...]
    comment: str
    country: str = ""  # whose networks it holds, as the host knows them


@dataclass(frozen=True)
class FlatRule:
    """One rule by the indices of bundles: of each group one holds the destination."""

    egress: str
    groups: tuple[tuple[int, ...], ...]
    protocols: tuple[str, ...] = ()
    ports: tuple[Ports, ...] = ()
    schedule: Optional[Schedule] = None


@dataclass
class FlatPolicy:
    """One distinct policy: its rules in order, and the default."""

    keys: list[str]
    rules: tuple[FlatRule, ...]
    default: str


@dataclass
class Flattened:
    """All bundles and distinct policies of a topology, and each client's policy by index."""

    bundles: list[Bundle]
    policies: list[FlatPolicy]
    policy_of: dict[str, int]  # client name → index


@dataclass(frozen=True)
class _Entry:
    """A domain or a network of a rule."""

    domain: str = ""
    network: Optional[Network] = None


class _Collector:
    def __init__(self, lists: Mapping[str, List], numbers: Mapping[str, int]) -> None:
        self.lists = lists
        self.held = _held(numbers)
        self.bundles: list[Bundle] = []
        self.named: dict[str, int] = {}
        self.contents: set[str] = set()  # keys of named lists' content
        self.claimed: set[str] = set()  # keys of private lists' names
        self.private: dict[Content, int] = {}
        self.policies: list[FlatPolicy] = []
        self.by_content: dict[tuple[tuple[FlatRule, ...], str], int] = {}

    def policy(self, owner: str, policy: Policy) -> int:
        """Return the index of the owner's policy, adding it or the owner."""
        rules: list[FlatRule] = []
        for part in _parts(policy.rules):
            rules.extend(self._run(owner, part) if _is_plain(part[0]) else [self._combined(owner, part[0])])
        content = (tuple(rules), policy.default)
        if content not in self.by_content:
            self.by_content[content] = len(self.policies)
            self.policies.append(FlatPolicy([], *content))
        index = self.by_content[content]
        self.policies[index].keys.append(f"policy:{owner}")
        return index

    def _run(self, owner: str, rules: list[Rule]) -> list[FlatRule]:
        """Return a run of rules with domains or networks of their own and one egress."""
        egress = rules[0].egress
        entries = [entry for rule in rules for entry in _entries(rule)]
        return [FlatRule(egress, ((index,),)) for index in self._own(owner, egress, entries)]

    def _combined(self, owner: str, rule: Rule) -> FlatRule:
        domains = [_Entry(domain=domain) for domain in rule.domains]
        networks = [_Entry(network=network) for network in rule.networks]
        groups = (
            self._own(owner, rule.egress, domains) if domains else (),
            self._own(owner, rule.egress, networks) if networks else (),
            tuple(self._named(name) for name in rule.lists),
            tuple(self._country(code) for code in rule.countries),
        )
        wanted = tuple(group for group in groups if group)
        return FlatRule(rule.egress, wanted, rule.protocols, rule.ports, rule.schedule)

    def _own(self, owner: str, egress: str, entries: list[_Entry]) -> tuple[int, ...]:
        return tuple(self._private(owner, egress, part) for part in self._by_set(owner, egress, entries))

    def _country(self, code: str) -> int:
        name = f"country/{code}"
        if name not in self.named:
            self.named[name] = len(self.bundles)
            self.bundles.append(Bundle([f"set:{name}"], (), (), f"country {code}", code))
        return self.named[name]

    def _named(self, name: str) -> int:
        key = f"list/{name}"
        if key not in self.named:
            self.named[key] = len(self.bundles)
            entry = self.lists[name]
            keys = [f"set:{key}"]
            content = _content_key((frozenset(entry.domains), frozenset(entry.networks)))
            if content not in self.contents:  # a list of another name keeps the addresses, too
                self.contents.add(content)
                keys.append(content.replace("rules", "names", 1))
            self.bundles.append(Bundle(keys, entry.domains, entry.networks, f"list {name}"))
        return self.named[key]

    def _by_set(self, owner: str, egress: str, entries: list[_Entry]) -> list[list[_Entry]]:
        """Return the entries of a run by the set that their names have already; new ones go with the lowest.

        Names that come together from two sets stay in two: in one, what the other has learned would be lost.
        """
        found: dict[int, list[_Entry]] = {}
        new = []
        for entry in entries:
            by_egress = self.held.get((owner, entry.domain))
            # A name that the owner has for the second time is the first list's, with its set, and draws none here.
            if by_egress and f"set:{owner}/{egress}/{entry.domain}" not in self.claimed:
                found.setdefault(by_egress.get(egress, min(by_egress.values())), []).append(entry)
            else:
                new.append(entry)
        if not found:
            return [entries]
        found[min(found)] += new
        return sorted(found.values(), key=lambda names: min(entry.domain for entry in names))

    def _private(self, owner: str, egress: str, entries: list[_Entry]) -> int:
        """Return the index of a private list.

        The same names keep their set, with the addresses learned for them, whoever owns them and wherever
        they lead: else they would go the default's way until each was asked for again. Of a list that was
        divided the names that lead where they led keep the set; the others leave it when they are asked for.
        """
        domains = tuple(entry.domain for entry in entries if entry.domain)
        networks = tuple(entry.network for entry in entries if entry.network is not None)
        content = (frozenset(domains), frozenset(networks))
        if content not in self.private:
            self.private[content] = len(self.bundles)
            self.bundles.append(Bundle([_content_key(content)], domains, networks, f"rules {owner}/{egress}"))
        index = self.private[content]
        # A name that an owner has twice is its first list's: no key is in two groups.
        keys = [f"set:{owner}/{way}/{domain}" for way in (egress, MOVED) for domain in domains]
        self.bundles[index].keys.extend(key for key in keys if key not in self.claimed)
        self.claimed.update(keys)
        return index


def _held(numbers: Mapping[str, int]) -> dict[tuple[str, str], dict[str, int]]:
    """Return (owner, domain) → egress → the number of the set that the domain has."""
    held: dict[tuple[str, str], dict[str, int]] = {}
    for key, number in numbers.items():
        if key.startswith(("set:policy/", "set:client/")):
            owner, egress, domain = key.partition(":")[2].rsplit("/", 2)
            if egress != MOVED:
                held.setdefault((owner, domain), {})[egress] = number
    return held


def _content_key(content: Content) -> str:
    """Return the key under which a private list keeps its number as long as its content is the same."""
    words = (*sorted(content[0]), *sorted(map(str, content[1])))
    return f"set:rules/{hashlib.sha256(' '.join(words).encode()).hexdigest()[:16]}"


def _parts(rules: tuple[Rule, ...]) -> Iterator[list[Rule]]:
    """Yield runs of plain rules with one egress, and each other rule alone."""
    run: list[Rule] = []
    for rule in rules:
        if run and not (_is_plain(rule) and _is_plain(run[0]) and rule.egress == run[0].egress):
            yield run
            run = []
        run.append(rule)
    if run:
        yield run


def _is_plain(rule: Rule) -> bool:
    """Return whether a rule has domains or networks of its own, and nothing else."""
    others = rule.lists or rule.countries or rule.protocols or rule.ports or rule.schedule
    return not others and bool(rule.domains) != bool(rule.networks)


def _entries(rule: Rule) -> Iterator[_Entry]:
    yield from (_Entry(domain=domain) for domain in rule.domains)
    yield from (_Entry(network=network) for network in rule.networks)


def flatten(topology: Topology, numbers: Mapping[str, int]) -> Flattened:
    """Return the bundles and policies that the topology's clients use; what nobody uses is left out."""
    collector = _Collector({entry.name: entry for entry in topology.lists}, numbers)
    policies = dict(topology.policies)
    named: dict[str, int] = {}
    policy_of: dict[str, int] = {}
    for client in topology.clients:
        if isinstance(client.policy, Policy):
            policy_of[client.name] = collector.policy(f"client/{client.name}", client.policy)
            continue
        if client.policy not in named:
            named[client.policy] = collector.policy(f"policy/{client.policy}", policies[client.policy])
        policy_of[client.name] = named[client.policy]
    return Flattened(collector.bundles, collector.policies, policy_of)


def used_egresses(flattened: Flattened) -> set[str]:
    """Return the names of all egresses that a rule or a default leads to."""
    used: set[str] = set()
    for policy in flattened.policies:
        used.add(policy.default)
        used.update(rule.egress for rule in policy.rules)
    return used


def first_owner(keys: list[str]) -> str:
    """Return the first key as words for people: `policy:policy/family` → `policy family`."""
    return keys[0].split(":", 1)[1].replace("/", " ")
