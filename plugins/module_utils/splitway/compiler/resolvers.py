# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom names are asked at: the resolvers of the egress that rules lead them to, through its tunnels.

dnsmasq knows no clients, so that a name is asked at the same resolvers whoever asks. Each policy says where a name
goes by the first of its rules that holds it; where two say otherwise, the topology has to be clearer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Optional, Union

from ..addresses import is_address
from ..state import REST, Forward, Through
from ..topology.model import BLOCK, DIRECT, Group, List, Topology, Upstream
from ..topology.numbering import member_name
from .carriage import hosts_of
from .egress import families_of, interface_of
from .groups import Switchboard, default_ways, reach
from .lists import Bundle, FlatPolicy, Flattened, first_owner
from .names import Holders, close, nearest_parent
from .numbers import CompileError

MOST_CONFLICTS = 20  # that are shown


@dataclass(frozen=True)
class Asked:
    """Resolvers, and the egress through which they are asked."""

    servers: tuple[str, ...]
    egress: str


@dataclass(frozen=True)
class _Use:
    """A rule of a policy, as it concerns the names of one bundle."""

    position: int
    asked: Optional[Asked]  # None: as the rest
    last: bool  # whether no later rule can get the name


@dataclass
class _Conflicts:
    """The names that two policies want to ask in different ways; one of each kind is told."""

    first: dict[tuple[str, str], str] = field(default_factory=dict)
    count: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, domain: str, one: str, other: str) -> None:
        self.first.setdefault((one, other), domain)
        self.count[one, other] = self.count.get((one, other), 0) + 1

    def finish(self) -> None:
        """Raise CompileError if there are any."""
        if not self.first:
            return
        messages = []
        for (one, other), domain in list(self.first.items())[:MOST_CONFLICTS]:
            more = self.count[one, other] - 1
            also = f" (and {more} names more)" if more else ""
            messages.append(
                f"{domain}{also}: {one}, {other}: a name has the same resolvers for all clients; give a list that "
                "holds it `resolvers: {servers: […], egress: …}`, which settles it for all policies"
            )
        if len(self.first) > MOST_CONFLICTS:
            messages.append(f"… and {len(self.first) - MOST_CONFLICTS} conflicts more between resolvers")
        raise CompileError("\n".join(messages))


def compile_forwards(
    topology: Topology, flattened: Flattened, board: Switchboard, numbers: Mapping[str, int]
) -> tuple[Forward, ...]:
    """Return the names that have resolvers of their own, by these. Raises CompileError where two policies disagree."""
    if not any_resolvers(topology):
        return ()
    conflicts = _Conflicts()
    settled, exits = _settled(topology, flattened, conflicts), _exits(topology)
    deciding = _Deciding(topology, flattened)
    kept: dict[str, Optional[Asked]] = {}
    names = close([bundle.domains for bundle in flattened.bundles]).holders
    for domain in sorted({*names, *settled, *exits}, key=lambda name: (name.count("."), name)):  # parents first
        parent = nearest_parent(domain, kept)
        if domain in exits:
            asked: Optional[Asked] = None
        elif domain in settled:
            asked = settled[domain]
        elif nearest_parent(domain, settled):
            continue  # its parent's list has settled it
        else:
            asked = deciding.asked(domain, names[domain], conflicts)
        if asked != kept.get(parent):
            kept[domain] = asked
    conflicts.finish()
    groups: dict[Optional[Asked], list[str]] = {}
    for domain, asked in kept.items():
        groups.setdefault(asked, []).append(domain)
    forwards = (_forward(tuple(sorted(domains)), asked, topology, board, numbers) for asked, domains in groups.items())
    return tuple(sorted(forwards, key=lambda forward: forward.domains))


def _exits(topology: Topology) -> set[str]:
    """Return the names of exits that our dnsmasq is asked for: through a tunnel that has no address yet, none is found.

    Without a policy of its own the gateway asks for them elsewhere.
    """
    upstreams = topology.upstreams if topology.host_policy is not None else ()
    return {host for upstream in upstreams for host in hosts_of(upstream) if not is_address(host)}


def any_resolvers(topology: Topology) -> bool:
    """Return whether any names may have resolvers of their own."""
    own = [entry.resolvers for entry in _tunnels(topology)]
    return bool(
        topology.dns.direct or topology.dns.proxied or any(own) or any(entry.resolvers for entry in topology.lists)
    )


def asked_egresses(topology: Topology, flattened: Flattened) -> set[str]:
    """Return the egresses that lists in use name for their resolvers: rules may lead to none of them."""
    named = (entry.resolvers.egress for entry in _list_of(topology, flattened).values() if entry.resolvers)
    return {egress for egress in named if egress is not None}


def _tunnels(topology: Topology) -> tuple[Union[Upstream, Group], ...]:
    return (*topology.upstreams, *topology.groups)


def _list_of(topology: Topology, flattened: Flattened) -> dict[int, List]:
    """Return bundle → its list, for those that are one."""
    by_key = {f"set:list/{entry.name}": entry for entry in topology.lists}
    return {index: by_key[bundle.keys[0]] for index, bundle in enumerate(flattened.bundles) if bundle.keys[0] in by_key}


def _settled(topology: Topology, flattened: Flattened, conflicts: _Conflicts) -> dict[str, Asked]:
    """Return the names whose list says itself whom to ask and through which egress."""
    settled: dict[str, Asked] = {}
    by: dict[str, str] = {}
    for entry in _list_of(topology, flattened).values():
        if entry.resolvers is None or entry.resolvers.egress is None:
            continue
        asked = Asked(entry.resolvers.servers, entry.resolvers.egress)
        words = f"list {entry.name} {_words(asked)}"
        for domain in entry.domains:
            if settled.setdefault(domain, asked) != asked:
                conflicts.add(domain, by[domain], words)
            by.setdefault(domain, words)
    return settled


def _words(asked: Asked) -> str:
    way = "directly" if asked.egress == DIRECT else f"through {asked.egress}"
    return f"asks {', '.join(asked.servers)} {way}"


class _Deciding:
    """Decides by the rules; names that the same bundles hold are decided once."""

    def __init__(self, topology: Topology, flattened: Flattened) -> None:
        self._topology, self._flattened = topology, flattened
        self._lists = _list_of(topology, flattened)
        self._own = {entry.name: entry.resolvers for entry in _tunnels(topology)}
        self._uses: dict[int, list[tuple[int, _Use]]] = {}  # bundle → (policy, use)
        for number, policy in enumerate(flattened.policies):
            for position, index, egress, some in rules_of(policy):
                if egress != BLOCK:  # nobody gets there by the name, whoever is asked
                    use = _Use(position, self._asked(index, egress), not some)
                    self._uses.setdefault(index, []).append((number, use))
        self._decided: dict[Holders, dict[Asked, tuple[int, int]]] = {}

    def asked(self, domain: str, holders: Holders, conflicts: _Conflicts) -> Optional[Asked]:
        """Return whom a name of these bundles is asked at."""
        if holders not in self._decided:
            self._decided[holders] = self._decide(holders)
        found = self._decided[holders]
        if len(found) > 1:
            one, other = sorted(found.items(), key=lambda item: item[1])[:2]
            conflicts.add(domain, self._claim(*one), self._claim(*other))
        return next(iter(found), None)

    def _decide(self, holders: Holders) -> dict[Asked, tuple[int, int]]:
        """Return all answers of policies → the first of them that gives it, and the bundle by which."""
        by_policy: dict[int, list[tuple[_Use, int]]] = {}
        for index in holders:
            for policy, use in self._uses.get(index, ()):
                by_policy.setdefault(policy, []).append((use, index))
        found: dict[Asked, tuple[int, int]] = {}
        for policy in sorted(by_policy):
            uses = sorted(by_policy[policy], key=lambda entry: entry[0].position)
            chosen = _first(uses)
            if chosen is not None:
                found.setdefault(chosen[0], (policy, chosen[1]))
        return found

    def _asked(self, index: int, egress: str) -> Optional[Asked]:
        """Return whom a rule asks for a bundle's names, None where nothing says so."""
        entry = self._lists.get(index)
        servers = entry.resolvers.servers if entry is not None and entry.resolvers is not None else ()
        if egress == DIRECT:
            servers = servers or self._topology.dns.direct
        else:
            servers = servers or self._own[egress] or self._topology.dns.proxied
        return Asked(servers, egress) if servers else None

    def _claim(self, asked: Asked, by: tuple[int, int]) -> str:
        policy, index = by
        bundle: Bundle = self._flattened.bundles[index]
        rule = bundle.comment if index in self._lists else "its own rules"
        return f"{first_owner(self._flattened.policies[policy].keys)} ({rule}) {_words(asked)}"


def rules_of(policy: FlatPolicy) -> Iterator[tuple[int, int, str, bool]]:
    """Yield (position, bundle, egress, whether it gets only some of the packets to its names) of a policy's rules."""
    for position, rule in enumerate(policy.rules):
        some = len(rule.groups) > 1 or bool(rule.protocols or rule.ports or rule.schedule)
        for index in dict.fromkeys(index for group in rule.groups for index in group):
            yield position, index, rule.egress, some


def _first(uses: list[tuple[_Use, int]]) -> Optional[tuple[Asked, int]]:
    """Return the answer of a policy's rules that get the name, in order, and the bundle by which.

    Where some of the packets go through a tunnel and some directly, the name is not to be seen outside of it.
    """
    answers = []
    for use, index in uses:
        if use.asked is not None:
            answers.append((use.asked, index))
        if use.last:
            break
    through = [answer for answer in answers if answer[0].egress != DIRECT]
    return next(iter((*through, *answers)), None)


def _forward(
    domains: tuple[str, ...], asked: Optional[Asked], topology: Topology, board: Switchboard, numbers: Mapping[str, int]
) -> Forward:
    if asked is None:
        return Forward(domains, (REST,))
    if asked.egress == DIRECT:
        return Forward(domains, asked.servers)
    number = numbers[asked.egress]
    upstreams = _upstreams(topology, numbers)

    def through(way: int) -> tuple[str, ...]:
        """Return the resolvers as they are asked by a way; none by one that is no upstream's."""
        upstream = upstreams.get(way)
        if upstream is None:
            return ()
        interface = interface_of(numbers[upstream.name], topology.table_base)
        reached = [server for server in asked.servers if _reaches(upstream, server)]
        if not reached:
            raise CompileError(
                f"{domains[0]} is to be asked at {', '.join(asked.servers)} through {asked.egress}, but "
                f"{upstream.name} reaches none of them: see its addresses and allowed_ips, or give it resolvers"
            )
        return tuple(f"{server}@{interface}" for server in reached)

    group = board.groups.get(asked.egress)
    if group is None:
        return Forward(domains, through(number), number)
    by_number = board.by_number()
    reached = reach(group, by_number)
    goes_direct = any(by_number[entry].on_down == DIRECT for entry in (number, *reached) if entry in by_number)
    ways = ((way, through(way)) for way in dict.fromkeys((*reached, number)))
    return Forward(
        domains,
        tuple(dict.fromkeys(server for way in default_ways(group) for server in through(way.number))),
        number,
        tuple(Through(way, servers) for way, servers in ways if servers),
        (topology.dns.direct or (REST,)) if goes_direct else (),
    )


def _upstreams(topology: Topology, numbers: Mapping[str, int]) -> dict[int, Upstream]:
    """Return number → the upstream that flows with it take, by itself or as a member, unless it is switched off."""
    enabled = {upstream.name: upstream for upstream in topology.upstreams if upstream.enabled}
    found = {numbers[name]: upstream for name, upstream in enabled.items()}
    for group in topology.groups:
        for member in group.members:
            if member.upstream in enabled:
                found[numbers[member_name(group.name, member.upstream)]] = enabled[member.upstream]
    return found


def _reaches(upstream: Upstream, server: str) -> bool:
    address = ip_address(server.partition("#")[0])
    return address.version in families_of(upstream) and any(address in network for network in upstream.allowed_ips)
