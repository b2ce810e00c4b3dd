# SPDX-License-Identifier: GPL-3.0-or-later
"""Distinct policies → sets and chains: what each rule matches, in order, in both families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from ..naming import static_name
from ..state import FAMILIES, AddressSet, FamilyMarks, MarkPolicy, MarkRule, number_field
from ..topology.model import BLOCK, Topology
from .lists import Bundle, FlatPolicy, Flattened, first_owner
from .names import LONGEST_LINE, Holders, Names, close, line
from .networks import METADATA, SplitNetworks, check_sizes, special_ranges, split_networks
from .numbers import Numbered, allocate

# Lists with domains or networks. Six kernel sets each at most, and a host holds 65,472 ipsets (measured).
MAXIMUM_SETS = 9999


@dataclass
class Matching:
    """All sets, the dnsmasq lines that fill them, and which sets each bundle is matched by."""

    sets: list[AddressSet] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    public: dict[int, list[list[str]]] = field(default_factory=dict)  # family → bundle → set names
    special: dict[int, list[list[str]]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    common: dict[tuple[int, str], str] = field(default_factory=dict)  # family, "s" or "m" → set name


def compile_matching(topology: Topology, flattened: Flattened, numbers: Mapping[str, int]) -> Matching:
    """Return the sets of all bundles. Static members are in them for either backend."""
    bundles = flattened.bundles
    names = close([bundle.domains for bundle in bundles])
    held = {key: number for key, number in numbers.items() if key.startswith("set:")}
    crowds = _crowds(names, topology.backend)
    groups = [bundle.keys for bundle in bundles]
    groups += [[f"set:name/{domain}" for domain in crowd] for crowd in crowds.values()]
    limit = (
        f"splitway_lists: {len(groups)} are in use, counting each run of a policy's or client's own rules "
        f"and each kind of names that are in very many lists; {MAXIMUM_SETS} fit"
    )
    numbered = allocate(groups, held, range(1, MAXIMUM_SETS + 1), limit)
    crowd_numbers = dict(zip(crowds, numbered[len(bundles) :]))

    matching = Matching(
        public={family: [[] for _ in bundles] for family in FAMILIES},
        special={family: [[] for _ in bundles] for family in FAMILIES},
    )
    for keys, entry in zip(groups, numbered):
        matching.numbers.update((key, entry.number) for key in keys)
    timeout = learned_timeout(topology)
    special = special_ranges(topology)
    for index, bundle in enumerate(bundles):
        if bundle.domains:
            _learned(matching, [index], numbered[index], timeout, bundle.comment)
        if bundle.country:
            _country(matching, index, numbered[index].number, bundle)
        _static(matching, index, numbered[index].number, bundle, split_networks(bundle.networks, special))
    check_sizes(matching.sets, topology.backend)
    for holders, entry in crowd_numbers.items():
        comment = f"names in {len(holders)} lists: {', '.join(crowds[holders][:3])}"
        _learned(matching, sorted(holders), entry, timeout, comment)
    for domain, holders in sorted(names.holders.items()):
        crowd = crowd_numbers.get(holders)
        used = [crowd.number] if crowd else [numbered[index].number for index in sorted(holders)]
        matching.lines.append(line(domain, used, topology.backend))
    _special_sets(matching, special)
    return matching


def learned_timeout(topology: Topology) -> int:
    """Return the seconds that a learned address stays after it was last added.

    ipset refreshes an address at each answer that dnsmasq does not take from its cache: retention
    plus the longest time in that cache is enough. An nftables set does not: twice the retention is
    given, and the agent refreshes what was answered in the first half of it (agent/names/learned.py).
    """
    if topology.backend == "nftables":
        return 2 * topology.retention
    return topology.retention + topology.dns.max_ttl


def _crowds(names: Names, backend: str) -> dict[Holders, list[str]]:
    """Return the domains that would need a too long line, by their holders.

    Numbers are counted as long as the longest, so that the answer does not depend on allocation.
    """
    fits: dict[tuple[int, int], bool] = {}

    def fit(domain: str, holders: Holders) -> bool:
        size = (len(domain), len(holders))
        if size not in fits:
            fits[size] = len(line(domain, [MAXIMUM_SETS] * len(holders), backend).encode()) <= LONGEST_LINE
        return fits[size]

    return names.crowds({domain: fit(domain, holders) for domain, holders in names.holders.items()})


def _learned(matching: Matching, indices: Sequence[int], entry: Numbered, timeout: int, comment: str) -> None:
    for family in FAMILIES:
        name = f"sw{family}d{entry.number}"
        seed: Optional[str] = None if entry.split_from is None else f"sw{family}d{entry.split_from}"
        matching.sets.append(AddressSet(name, family, timeout, seed_from=seed, comment=comment))
        for index in indices:
            matching.public[family][index].append(name)


def _static(matching: Matching, index: int, number: int, bundle: Bundle, networks: Mapping[int, SplitNetworks]) -> None:
    for family, split in networks.items():
        for letter, members, names in (
            ("n", split.public, matching.public),
            ("p", split.special, matching.special),
        ):
            if members:
                name = static_name(f"sw{family}{letter}{number}", members)
                matching.sets.append(AddressSet(name, family, None, members, comment=bundle.comment))
                names[family][index].append(name)


def _country(matching: Matching, index: int, number: int, bundle: Bundle) -> None:
    for family in FAMILIES:
        name = f"sw{family}g{number}"
        matching.sets.append(AddressSet(name, family, None, comment=bundle.comment, country=bundle.country))
        matching.public[family][index].append(name)


def _special_sets(matching: Matching, special: Mapping[int, tuple[object, ...]]) -> None:
    for family in FAMILIES:
        for letter, members, comment in (
            ("s", tuple(map(str, special[family])), "special ranges"),
            ("m", METADATA[family], "cloud metadata"),
        ):
            name = static_name(f"sw{family}{letter}", members)
            matching.sets.append(AddressSet(name, family, None, members, comment=comment))
            matching.common[family, letter] = name


def number_policies(topology: Topology, flattened: Flattened, numbers: Mapping[str, int]) -> dict[str, int]:
    """Return policy key → number for every owner of every distinct policy."""
    _shift, classified = number_field(topology.mark_mask)
    held = {key: number for key, number in numbers.items() if key.startswith("policy:")}
    groups = [policy.keys for policy in flattened.policies]
    limit = (
        f"splitway_mark_mask: {len(groups)} distinct policies do not fit into {topology.mark_mask:#x}, "
        f"which holds {classified - 1}: let clients with the same rules have one policy, or widen it"
    )
    numbered = allocate(groups, held, range(1, classified), limit)
    return {key: entry.number for keys, entry in zip(groups, numbered) for key in keys}


def compile_family(
    family: int,
    topology: Topology,
    flattened: Flattened,
    matching: Matching,
    policies: Mapping[str, int],
    egresses: Mapping[str, int],
) -> FamilyMarks:
    """Return the clients and chains of one family."""
    clients = {
        str(address): policies[flattened.policies[flattened.policy_of[client.name]].keys[0]]
        for client in topology.clients
        if not client.refused
        for address in client.addresses
        if address.version == family
    }
    chains = (_policy(policy, policies[policy.keys[0]], matching, egresses, family) for policy in flattened.policies)
    return FamilyMarks(clients, tuple(sorted(chains, key=lambda chain: chain.number)), matching.common[family, "s"])


def _policy(
    policy: FlatPolicy,
    number: int,
    matching: Matching,
    egresses: Mapping[str, int],
    family: int,
) -> MarkPolicy:
    def rules(sets_of: Sequence[Sequence[str]]) -> Iterator[MarkRule]:
        for rule in policy.rules:
            groups = [tuple(name for index in group for name in sets_of[index]) for group in rule.groups]
            if not all(groups) or (not groups and sets_of is matching.special[family]):
                continue  # a rule that names no destination does not reach the special ranges
            sets, also = (groups[0], tuple(groups[1:])) if groups else ((), ())
            yield MarkRule(sets, egresses[rule.egress], also, rule.protocols, rule.ports, rule.schedule)

    metadata = MarkRule((matching.common[family, "m"],), egresses[BLOCK])
    return MarkPolicy(
        number=number,
        name=first_owner(policy.keys),
        rules=tuple(rules(matching.public[family])),
        default=egresses[policy.default],
        special=(*rules(matching.special[family]), metadata),
    )
