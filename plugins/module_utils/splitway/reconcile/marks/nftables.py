# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks as chains of our nftables table; the clients' policies in verdict maps.

nft prints rules in its own spelling, which changes between versions. Each rule carries a digest of the text that
we wrote as its comment, and comparing is comparing digests, in order.
"""

from __future__ import annotations

import hashlib

from ...state import DIRECT, FAMILIES, LanNetwork, MarkPolicy, Marks, Way, classified_bit, mark_of
from ...system import System
from .. import nft
from ..base import ReconcileError
from . import lan, nftables_forward, nftables_host
from .model import (
    ChainStep,
    ClientsStep,
    Line,
    LookupStep,
    Place,
    Ruleset,
    Step,
    direct_mark,
    egress_numbers,
)
from .nftables_clients import BASE
from .nftables_rules import clear, lines, match
from .sources import unknown_of

LOOKUPS = {4: "clients4", 6: "clients6"}
_IP = {4: "ip", 6: "ip6"}
_TYPE = {4: "ipv4_addr", 6: "ipv6_addr"}


def render(marks: Marks) -> Ruleset:
    """Return the chains and entries of the section; pure."""
    chains = {**_egresses(marks), **nftables_forward.chains(marks)}
    for version in FAMILIES:
        for policy in marks.family(version).policies:
            chains.update(_policy(marks, version, policy))
    chains.update(_classify(marks))
    entries = {
        version: {client: f"goto policy{version}_{number}" for client, number in marks.family(version).clients.items()}
        for version in FAMILIES
    }
    kinds = {version: f"{_TYPE[version]} : verdict" for version in FAMILIES}
    known = {text: _line(text) for text in {line for lines in chains.values() for line in lines}}  # most are in many
    places = {Place(0, "splitway", name): tuple(known[line] for line in lines) for name, lines in chains.items()}
    return Ruleset(places, kinds, entries)


def _line(text: str) -> Line:
    base = text.startswith("type ")
    return Line(text if base else hashlib.sha256(text.encode()).hexdigest()[:12], text)


def _keep(mask: int) -> str:
    """Return the bits that are others'."""
    return f"{0xFFFFFFFF & ~mask:#x}"


def _classify(marks: Marks) -> dict[str, list[str]]:
    mask, bit = marks.mask, classified_bit(marks.mask)
    # Copying bits from one mark to the other needs two variables in one operation, which kernels
    # before 6.13 do not have: each mark's bits are constants in the chain of its egress.
    restore = ", ".join(f"{mark_of(number, mask):#x} : goto mark_{number}" for number in egress_numbers(marks))
    recognize = [
        # First what most packets are, established: what is invalid has no connection, and so no mark of one.
        f"ct mark & {mask:#x} vmap {{ {restore} }}",
        "ct state invalid drop",
        f"ct mark & {bit:#x} == {bit:#x} drop",  # an egress that is no more: the guard refuses it, too
        f"meta mark set meta mark & {_keep(mask)}",
    ]
    return {
        "prerouting": [
            BASE.format("filter", "prerouting", -150),
            f'iifname "{marks.interface}" goto classify',
            *lan.nftables_jumps(marks),
            # Source validation of a reply asks for the way back as if from the client, unclassified: the guard's rule
            # would refuse it, and any rp_filter drop the reply. "direct" leads past the guard, and to the client.
            f"ct mark & {bit:#x} == {bit:#x} meta mark set meta mark & {_keep(mask)} | {direct_mark(mask):#x}",
            *lan.nftables_approach(marks),
        ],
        "classify": [
            *recognize,
            *(f"{_IP[version]} saddr vmap @{LOOKUPS[version]}" for version in FAMILIES),
            *(
                f"{_IP[version]} saddr {entry.network} {_unknown(version, entry)}"
                for version in FAMILIES
                for entry in unknown_of(marks, version)
            ),
        ],
        **lan.nftables_chains(marks, recognize),
        **nftables_host.chains(marks, restore, nftables_forward.leave_pairs(marks)),
    }


def _unknown(version: int, entry: LanNetwork) -> str:
    """Return where those lead who are behind the server's interface and no clients."""
    return "return" if entry.policy is None else f"goto policy{version}_{entry.policy}"


def _mark_chains(marks: Marks) -> dict[int, str]:
    """Return, by egress number, the chain that gives a new flow just this one, whatever the egress's ways are."""
    switched = {egress.number for egress in marks.egresses if egress.ways}
    return {number: f"{'way' if number in switched else 'egress'}_{number}" for number in egress_numbers(marks)}


def _egresses(marks: Marks) -> dict[str, list[str]]:
    keep, mark_chains = _keep(marks.mask), _mark_chains(marks)
    chains = {}
    for number, chain in mark_chains.items():
        mark = mark_of(number, marks.mask)
        chains[chain] = [f"ct mark set ct mark & {keep} | {mark:#x}", f"goto mark_{number}"]
        chains[f"mark_{number}"] = [
            f"meta mark set meta mark & {keep} | {mark:#x}",
            "accept",  # the end of this base chain only
        ]
    for egress in marks.egresses:
        if egress.ways:
            chains[f"egress_{egress.number}"] = [_choose(egress.ways, mark_chains)]
    return chains


def _choose(ways: tuple[Way, ...], mark_chains: dict[int, str]) -> str:
    """Return the rule that sends a new flow one of the ways, by chance and weight."""
    if len(ways) == 1:
        return f"goto {mark_chains[ways[0].number]}"
    total, pairs = 0, []
    for way in ways:
        share = f"{total}" if way.weight == 1 else f"{total}-{total + way.weight - 1}"
        pairs.append(f"{share} : goto {mark_chains[way.number]}")
        total += way.weight
    return f"numgen random mod {total} vmap {{ {', '.join(pairs)} }}"


def _policy(marks: Marks, version: int, policy: MarkPolicy) -> dict[str, list[str]]:
    family = marks.family(version)
    chains: dict[str, list[str]] = {}
    rules = lines(marks, version, policy.rules, chains)
    if family.special:
        # First away with the answer of the set of special ranges.
        special = [clear(marks.mask), *lines(marks, version, policy.special, chains), f"goto egress_{DIRECT}"]
        # Named by its content: policies with the same special rules share the chain.
        name = f"special{version}_{hashlib.sha256(chr(10).join(special).encode()).hexdigest()[:12]}"
        chains[name] = special
        rules = [*match(marks, version, family.special, f"goto {name}", chains), *rules]
    chains[f"policy{version}_{policy.number}"] = [*rules, f"goto egress_{policy.default}"]
    return chains


def write(system: System, steps: list[Step]) -> None:
    """Carry out the steps in one transaction. Raises ReconcileError."""
    gone: list[str] = []
    chains: list[str] = []
    rules: list[str] = []
    entries: list[str] = []
    for step in steps:
        if isinstance(step, ChainStep):
            _chain_lines(step, chains, rules, gone)
        elif isinstance(step, LookupStep):
            _lookup_lines(step, chains, gone)
        else:
            entries += _entry_lines(step)
    flushes = [line.replace("delete chain", "flush chain") for line in gone if line.startswith("delete chain")]
    nft.run(system, [*chains, *rules, *entries, *flushes, *sorted(gone, reverse=True)])
    if gone:
        nft.drop_empty_table(system)


def _chain_lines(step: ChainStep, chains: list[str], rules: list[str], gone: list[str]) -> None:
    name = f"{nft.TABLE} {step.place.chain}"
    if not step.wanted:
        gone.append(f"delete chain {name}")
        return
    base = step.wanted[0].text if step.wanted[0].text.startswith("type ") else ""
    if step.found and _base(step.found) != base:
        chains += [f"flush chain {name}", f"delete chain {name}"]
    chains.append(f"add chain {name} {{ {base} }}" if base else f"add chain {name}")
    rules.append(f"flush chain {name}")
    rules += [f'add rule {name} {line.text} comment "{line.key}"' for line in step.wanted[1 if base else 0 :]]


def _base(lines: tuple[Line, ...]) -> str:
    return lines[0].text if lines[0].text.startswith("type ") else ""


def _lookup_lines(step: LookupStep, chains: list[str], gone: list[str]) -> None:
    name = f"{nft.TABLE} {LOOKUPS[step.family]}"
    if step.found and step.wanted:
        raise ReconcileError(f"nft map {name} has another type ({step.found}): delete {nft.TABLE} and run again")
    if step.wanted:
        chains.append(f"add map {name} {{ type {step.wanted}; }}")
    else:
        gone.append(f"delete map {name}")


def _entry_lines(step: ClientsStep) -> list[str]:
    name = f"{nft.TABLE} {LOOKUPS[step.family]}"
    old = ", ".join(client for client, was, _ in step.entries if was)
    new = ", ".join(f"{client} : {entry}" for client, _, entry in step.entries if entry)
    lines = [f"delete element {name} {{ {old} }}"] if old else []
    return lines + ([f"add element {name} {{ {new} }}"] if new else [])
