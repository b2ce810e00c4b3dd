# SPDX-License-Identifier: GPL-3.0-or-later
"""Egresses: their numbers, tables, ip rules and tunnels."""

from __future__ import annotations

from collections.abc import Mapping

from ..state import DIRECT, FAMILIES, Device, Egress, Peer, Routes, Rule, Table, classified_bit, mark_of, number_field
from ..topology import model
from .numbers import CompileError, allocate

TUNNELS = "wg-up-"
BASE = f"egress:{model.BLOCK}"
RESERVED_TABLES = frozenset((253, 254, 255))  # default, main, local


def number_egresses(topology: model.Topology, numbers: Mapping[str, int]) -> dict[str, int]:
    """Return egress name → number. `block` has the base itself, upstream N the base plus N.

    With another base each upstream keeps its N, and so its interface.
    """
    base = topology.table_base
    _shift, classified = number_field(topology.mark_mask)
    names = [upstream.name for upstream in topology.upstreams]
    limit = (
        f"splitway_upstreams: {len(names)} upstreams do not fit between splitway_table_base {base} "
        f"and the largest number of splitway_mark_mask, {classified - 1}"
    )
    if base >= classified:
        raise CompileError(limit)
    held, before = _moved(numbers, base)
    held = {key: number for key, number in held.items() if number < classified and number not in RESERVED_TABLES}
    unused = (number for number in range(base + 1, classified) if number not in {*RESERVED_TABLES, *before})
    numbered = allocate([[f"egress:{name}"] for name in names], held, unused, limit)
    return {
        model.DIRECT: DIRECT,
        model.BLOCK: base,
        **{name: entry.number for name, entry in zip(names, numbered)},
    }


def _moved(numbers: Mapping[str, int], base: int) -> tuple[dict[str, int], frozenset[int]]:
    """Return key → number of the upstreams by this base, and the numbers by the base before if it was another.

    Raises CompileError when a number would change its meaning, while tables and flows still have the old one.
    """
    held = {key: number for key, number in numbers.items() if key.startswith("egress:")}
    old = held.pop(BASE, base)
    if old == base:
        return held, frozenset()
    before = frozenset((old, *held.values()))
    after = {key: number - old + base for key, number in held.items()}
    if before & {base, *after.values()}:
        raise CompileError(
            f"splitway_table_base: {base} is too near to {old}, which this gateway has: "
            f"choose one below {2 * old - max(before)} or above {max(before)}"
        )
    return after, before


def interface_of(number: int, base: int) -> str:
    """Return the tunnel interface of an upstream's number."""
    return f"{TUNNELS}{number - base}"


def compile_egresses(topology: model.Topology, numbers: Mapping[str, int], used: set[str]) -> tuple[Egress, ...]:
    """Return the egresses that marks can name: direct, block, and the upstreams that are used."""
    egresses = [
        Egress(DIRECT, model.DIRECT, nat=topology.server.nat),
        Egress(numbers[model.BLOCK], model.BLOCK),
    ]
    for upstream in topology.upstreams:
        if upstream.name in used:
            number = numbers[upstream.name]
            egresses.append(Egress(number, upstream.name, interface_of(number, topology.table_base), nat=upstream.nat))
    return tuple(egresses)


def compile_tunnels(topology: model.Topology, numbers: Mapping[str, int]) -> tuple[Device, ...]:
    """Return the tunnel of each enabled upstream."""
    return tuple(
        Device(
            name=upstream.name,
            interface=interface_of(numbers[upstream.name], topology.table_base),
            private_key=upstream.private_key,
            addresses=tuple(map(str, upstream.addresses)),
            peers=(
                Peer(
                    name=upstream.name,
                    public_key=upstream.public_key,
                    allowed_ips=tuple(map(str, upstream.allowed_ips)),
                    preshared_key=upstream.preshared_key,
                    endpoint=str(upstream.endpoint),
                    persistent_keepalive=upstream.persistent_keepalive,
                ),
            ),
            mtu=upstream.mtu,
        )
        for upstream in topology.upstreams
        if upstream.enabled
    )


def compile_routes(topology: model.Topology, numbers: Mapping[str, int], used: set[str]) -> Routes:
    """Return the table of every egress, each with its floor, and the handful of rules."""
    block = Table(numbers[model.BLOCK], model.BLOCK, None, (), "prohibit")
    tables = [block, *(_table(upstream, topology, numbers) for upstream in topology.upstreams)]
    return Routes(tuple(tables), _rules(topology, tables, used))


def _table(upstream: model.Upstream, topology: model.Topology, numbers: Mapping[str, int]) -> Table:
    number = numbers[upstream.name]
    if not upstream.enabled:
        return Table(number, upstream.name, None, ())
    own = {address.version for address in upstream.addresses}
    families = tuple(family for family in FAMILIES if family in own or not upstream.nat)
    return Table(number, upstream.name, interface_of(number, topology.table_base), families)


def _rules(topology: model.Topology, tables: list[Table], used: set[str]) -> tuple[Rule, ...]:
    mask, first = topology.mark_mask, topology.rule_priority
    guard, bound, direct, egress, anchor = range(first, first + 50, 10)
    rules = [Rule(guard, "unreachable", iif=topology.server.interface, mark=0, mask=classified_bit(mask))]
    rules += [Rule(bound, "lookup", table=table.number, oif=table.interface) for table in tables if table.interface]
    rules.append(Rule(direct, "goto", target=anchor, mark=mark_of(DIRECT, mask), mask=mask))
    rules += [
        Rule(egress, "lookup", table=table.number, mark=mark_of(table.number, mask), mask=mask)
        for table in tables
        if table.egress in used or table.egress == model.BLOCK
    ]
    rules.append(Rule(anchor, "nop"))
    return tuple(rules)
