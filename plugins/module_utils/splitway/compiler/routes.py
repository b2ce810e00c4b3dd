# SPDX-License-Identifier: GPL-3.0-or-later
"""The routing tables of egresses, each with its floor, and the handful of ip rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ..state import DIRECT, FAMILIES, Routes, Rule, Table, classified_bit, mark_of
from ..topology import model
from ..topology.numbering import bound_name, member_name
from .egress import families_of, interface_of
from .groups import Switchboard
from .lists import Flattened
from .proxies import wanted
from .resolvers import any_resolvers


def compile_routes(
    topology: model.Topology, numbers: Mapping[str, int], switchboard: Switchboard, flattened: Flattened
) -> Routes:
    """Return the table of every egress and the rules: one for each egress and member that is used."""
    direct = {name for name, group in switchboard.groups.items() if group.on_down == model.DIRECT}
    tables = tuple(replace(table, may_go_direct=table.egress in direct) for table in _tables(topology, numbers))
    marked = {model.BLOCK, *switchboard.used}
    for group in topology.groups:
        if group.name in switchboard.used:
            marked |= {member_name(group.name, member.upstream) for member in group.members}
    bound = {_bound(upstream) for upstream in topology.upstreams}
    kept = tuple(str(address.network) for address in topology.server.addresses)
    named = [network for bundle in flattened.bundles for network in bundle.networks]
    return Routes(tables, tuple(_rules(topology, tables, marked, bound, named)), kept)


def _tables(topology: model.Topology, numbers: Mapping[str, int]) -> Iterator[Table]:
    upstreams = {upstream.name: upstream for upstream in topology.upstreams}
    yield Table(numbers[model.BLOCK], model.BLOCK, None, (), "prohibit")
    for upstream in topology.upstreams:
        for name in dict.fromkeys((upstream.name, _bound(upstream))):
            yield _table(upstream, name, topology, numbers)
    for group in topology.groups:
        yield Table(numbers[group.name], group.name, None, ())
        for member in group.members:
            if upstreams[member.upstream].enabled:
                yield _table(upstreams[member.upstream], member_name(group.name, member.upstream), topology, numbers)


def _bound(upstream: model.Upstream) -> str:
    """Return the name of the table for programs that are bound to the tunnel, the agent's probes for one.

    They need a route through it even while the upstream's own table lets clients' packets on to the direct way.
    """
    goes_direct = upstream.enabled and upstream.on_down == model.DIRECT
    return bound_name(upstream.name) if goes_direct else upstream.name


def _table(upstream: model.Upstream, name: str, topology: model.Topology, numbers: Mapping[str, int]) -> Table:
    if not upstream.enabled:
        return Table(numbers[name], name, None, ())
    interface = interface_of(numbers[upstream.name], topology.table_base)
    return Table(numbers[name], name, interface, families_of(upstream))


def _rules(
    topology: model.Topology,
    tables: tuple[Table, ...],
    marked: set[str],
    bound: set[str],
    named: Iterable[model.Network],
) -> Iterator[Rule]:
    """Yield the rules.

    `marked`: the egresses whose marks packets have; `bound`: the tables of bound programs; `named`: the networks that
    policies' rules name.
    """
    mask, first = topology.mark_mask, topology.rule_priority
    guard, interface, direct, egress, anchor = range(first, first + 50, 10)
    unclassified = Rule(guard, "unreachable", iif=topology.server.interface, mark=0, mask=classified_bit(mask))
    yield unclassified
    for lan in topology.lan_clients:
        for network in lan.networks:
            yield replace(unclassified, iif=lan.interface, source=str(network), family=network.version)
    here = [network for lan in topology.lan_clients for network in lan.networks]
    if topology.server.adopt:  # how it validates sources is not ours to set
        here += [own.network for own in topology.server.addresses]
    yield from (_way_back(direct, anchor, network) for network in here)
    for network in here:
        if any(other.version == network.version and other.overlaps(network) for other in named):
            yield from _way_there(topology, interface, egress, network)
    asking = any_resolvers(topology)
    sources = {_bound(upstream): upstream.addresses for upstream in topology.upstreams if asking}
    for table in tables:
        if table.interface and table.egress in bound:
            yield Rule(interface, "lookup", table=table.number, oif=table.interface)
            for address in sources.get(table.egress, ()):
                # An answer that comes when dnsmasq has one already is refused by the kernel, with a copy of it: the
                # host's own routes would show it, and the name in it, to the network around.
                text, family = f"{address.ip}/{address.max_prefixlen}", address.version
                yield Rule(interface, "lookup", table=table.number, iif="lo", source=text, family=family)
    yield Rule(direct, "goto", target=anchor, mark=mark_of(DIRECT, mask), mask=mask)
    if topology.host_policy is not None or any(proxy.policy is not None for proxy in wanted(topology)):
        yield from _refused(tables, marked, direct, anchor, mask)
    for table in tables:
        if table.egress in marked:
            yield Rule(egress, "lookup", table=table.number, mark=mark_of(table.number, mask), mask=mask)
    yield Rule(anchor, "nop")


def _way_back(priority: int, anchor: int, network: model.Network) -> Rule:
    """Return the rule by which packets to clients take the host's own routes, whatever their mark.

    Source validation asks for the way back with the packet's own mark: strict, it would refuse all that is tunnelled,
    and loose all whose tunnel is away, without a word to the client.
    """
    return Rule(priority, "goto", target=anchor, destination=str(network), family=network.version)


def _way_there(topology: model.Topology, priority: int, egress: int, network: model.Network) -> Iterator[Rule]:
    """Yield the rules by which clients' own packets to a network of clients pass the way back and get to their egress.

    A rule of a policy may lead them into a tunnel, or block them.
    """
    for name in dict.fromkeys((topology.server.interface, *(lan.interface for lan in topology.lan_clients))):
        yield Rule(priority, "goto", target=egress, iif=name, destination=str(network), family=network.version)


def _refused(tables: tuple[Table, ...], marked: set[str], priority: int, anchor: int, mask: int) -> Iterator[Rule]:
    """Yield the rules that let the host's own packets for tables without a way on to the chain that refuses them.

    A packet that finds no route while its connection is made is dropped without a word: connect() would wait for
    minutes (the kernel sends the SYN again and again). Nothing of this leaves: the guard behind routing drops it, too.
    """
    for table in tables:
        for family in FAMILIES if table.egress in marked else ():
            if table.interface is None or family not in table.families:
                mark = mark_of(table.number, mask)
                yield Rule(priority, "goto", target=anchor, mark=mark, mask=mask, iif="lo", family=family)
