# SPDX-License-Identifier: GPL-3.0-or-later
"""Egresses: their numbers and tunnels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Optional

from ..mtus import START, endpoint_of
from ..state import DIRECT, FAMILIES, WIREGUARD, Device, Egress, Peer, TunnelMtu, exempt_mark, number_field
from ..topology import model
from ..topology.numbering import counted, member_name, number_owners
from .carriage import local_port, transport_of
from .groups import Switchboard, default_ways, reach
from .numbers import CompileError, allocate

TUNNELS = "wg-up-"
BASE = f"egress:{model.BLOCK}"
RESERVED_TABLES = frozenset((253, 254, 255))  # default, main, local


def number_egresses(topology: model.Topology, numbers: Mapping[str, int]) -> dict[str, int]:
    """Return egress name → number. `block` has the base itself, upstream N the base plus N; then groups and members.

    With another base each keeps its N, and so an upstream its interface.
    """
    base = topology.table_base
    _shift, classified = number_field(topology.mark_mask)
    names = number_owners(topology)
    limit = (
        f"splitway_upstreams: {counted(topology)} do not fit between splitway_table_base {base} "
        f"and the largest number of splitway_mark_mask, {classified - 1}"
    )
    if base >= classified:
        raise CompileError(limit)
    held, before = _moved(numbers, base)
    taken = {*RESERVED_TABLES, *before, *held.values()}
    held = {key: number for key, number in held.items() if number < classified and number not in RESERVED_TABLES}
    unused = (number for number in range(base + 1, classified) if number not in taken)
    numbered = allocate([[f"egress:{name}"] for name in names], _of_the_same_kind(held, topology), unused, limit)
    return {
        model.DIRECT: DIRECT,
        model.BLOCK: base,
        **{name: entry.number for name, entry in zip(names, numbered)},
    }


def _of_the_same_kind(held: Mapping[str, int], topology: model.Topology) -> dict[str, int]:
    """Return the numbers whose owner was an upstream and is none now, or the other way round, left out.

    A flow of the upstream would else be taken for one of the group of that name.
    """
    groups = {group.name for group in topology.groups}
    had_members = {name.partition("/")[0] for name in held if not name.endswith("/") and "/" in name}
    return {
        key: number
        for key, number in held.items()
        if "/" in key or (key in had_members) == (key.partition(":")[2] in groups)
    }


def _moved(numbers: Mapping[str, int], base: int) -> tuple[dict[str, int], frozenset[int]]:
    """Return key → number of the egresses by this base, and the numbers by the base before if it was another.

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


def compile_egresses(
    topology: model.Topology, numbers: Mapping[str, int], switchboard: Switchboard
) -> tuple[Egress, ...]:
    """Return the egresses that marks can name: direct, block, and the upstreams, groups and members that are used."""
    upstreams = {upstream.name: upstream for upstream in topology.upstreams}
    egresses = [
        Egress(DIRECT, model.DIRECT, nat=topology.server.nat),
        Egress(numbers[model.BLOCK], model.BLOCK, families=()),
        *(
            _through(upstream, upstream.name, topology, numbers)
            for upstream in topology.upstreams
            if upstream.name in switchboard.used
        ),
    ]
    for group in topology.groups:
        if group.name in switchboard.used:
            egresses.append(Egress(numbers[group.name], group.name, families=()))
            egresses += [
                _through(upstreams[member.upstream], member_name(group.name, member.upstream), topology, numbers)
                for member in group.members
                if upstreams[member.upstream].enabled
            ]
    return tuple(_with_choice(egress, switchboard) for egress in egresses)


def _through(upstream: model.Upstream, name: str, topology: model.Topology, numbers: Mapping[str, int]) -> Egress:
    interface = interface_of(numbers[upstream.name], topology.table_base)
    families = families_of(upstream) if upstream.enabled else ()
    return Egress(numbers[name], name, interface, nat=upstream.nat, families=families)


def _with_choice(egress: Egress, switchboard: Switchboard) -> Egress:
    group = switchboard.groups.get(egress.name)
    if group is None:
        return egress
    return replace(
        egress,
        ways=default_ways(group),
        may_use=reach(group, switchboard.by_number()),
        may_go_direct=group.on_down == model.DIRECT,
    )


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
            mtu=START if upstream.mtu is None else upstream.mtu,
            mtu_from_path=upstream.mtu is None,
            mark=own_mark(topology),
            transport=transport_of(upstream),
            websocket=local_port(upstream, WIREGUARD),
        )
        for upstream in topology.upstreams
        if upstream.enabled
    )


def tunnel_mtu(tunnel: Device) -> TunnelMtu:
    """Return how large a packet in a tunnel may be."""
    endpoint = endpoint_of(tunnel) if tunnel.mtu_from_path else ""
    return TunnelMtu(tunnel.interface, tunnel.mtu or START, endpoint, tunnel.name, tunnel.transport)


def own_mark(topology: model.Topology) -> Optional[int]:
    """Return the mark of tunnels' encrypted packets: without it the host's policy would send them into a tunnel."""
    return None if topology.host_policy is None else exempt_mark(topology.mark_mask)


def families_of(upstream: model.Upstream) -> tuple[int, ...]:
    """Return the families of packets that a tunnel takes: without an address there is no masquerading."""
    own = {address.version for address in upstream.addresses}
    return tuple(family for family in FAMILIES if family in own or not upstream.nat)
