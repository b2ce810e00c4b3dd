# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks as iptables chains; the clients' policies in ipsets with `skbinfo`.

Every line is written as `iptables-save` prints it, so that comparing is comparing text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ...state import (
    DIRECT,
    FAMILIES,
    STATIC_SIZE,
    FamilyMarks,
    LanNetwork,
    MarkPolicy,
    Marks,
    Way,
    classified_bit,
    mark_of,
)
from ...system import System
from ..sets import ipset
from . import iptables_clients, iptables_forward, iptables_host, iptables_io, lan
from .iptables_rules import Ends, lines
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
    policy_mark,
)
from .segments import iptables_chains
from .sources import unknown_of
from .tree import leaf, tree

CLASSIFY = iptables_io.PREFIX
# The root of a tree: 16 characters at most, for a node's name adds 12, and iptables allows 28.
DISPATCH = f"{CLASSIFY}-CLIENT"
ENTER = f"{CLASSIFY}-ENTER"
LOOKUPS = {4: "sw4c", 6: "sw6c"}
_WHOLE = 1 << 31  # what the kernel counts a probability in


def render(marks: Marks) -> Ruleset:
    """Return the chains and entries of the section; pure."""
    chains: dict[Place, tuple[Line, ...]] = {}
    for version in FAMILIES:
        tables = {
            "mangle": _mangle(marks, version),
            "filter": {**iptables_clients.filtering(marks, version), **iptables_host.filtering(marks, version)},
            "nat": {
                **iptables_clients.nat(marks),
                **iptables_forward.nat(marks, version),
                **iptables_host.nat(marks, version),
            },
        }
        for table, rules in tables.items():
            for name, content in rules.items():
                chains[Place(version, table, name)] = tuple(Line(line, line) for line in content)
    entries = {version: _entries(marks.family(version).clients, marks.mask) for version in FAMILIES}
    return Ruleset(chains, {version: _kind(version) for version in FAMILIES}, entries)


def _entries(clients: Mapping[str, int], mask: int) -> dict[str, str]:
    spelled = {number: f"{policy_mark(number, mask):#x}/{mask:#x}" for number in set(clients.values())}
    return {client: spelled[number] for client, number in clients.items()}


def _kind(version: int) -> str:
    return f"hash:ip family {'inet' if version == 4 else 'inet6'} maxelem {STATIC_SIZE} skbinfo"


def _mangle(marks: Marks, version: int) -> dict[str, list[str]]:
    family, mask, clear = marks.family(version), marks.mask, f"-j MARK --set-xmark 0x0/{marks.mask:#x}"
    bit = classified_bit(mask)
    recognize = [
        # First what most packets are, established: what is invalid has no connection, and so no mark of one.
        f"-j CONNMARK --restore-mark --nfmask {mask:#x} --ctmask {mask:#x}",
        f"-m mark --mark {bit:#x}/{bit:#x} -j RETURN",
        "-m conntrack --ctstate INVALID -j DROP",
        clear,  # so that only the lookup can make a policy's number
    ]
    chains = {
        "PREROUTING": [f"1 -j {ENTER}"],
        ENTER: [
            f"-i {marks.interface} -g {CLASSIFY}",
            *lan.iptables_jumps(marks, version),
            # Source validation of a reply asks for the way back as if from the client, unclassified: the guard's rule
            # would refuse it, and any rp_filter drop the reply. "direct" leads past the guard, and to the client.
            f"-m connmark --mark {bit:#x}/{bit:#x} -j MARK --set-xmark {direct_mark(mask):#x}/{mask:#x}",
            *lan.iptables_approach(marks, version),
        ],
        CLASSIFY: [
            *recognize,
            f"-j SET --map-set {LOOKUPS[version]} src --map-mark",
            *(leaf(0, mask, _unknown(entry), f"-s {entry.network} ") for entry in unknown_of(marks, version)),
            f"-g {DISPATCH}",
        ],
        **lan.iptables_chains(marks, version, recognize),
    }
    marked = {policy_mark(policy.number, mask): policy.number for policy in family.policies}
    policies = {mark: leaf(mark, mask, f"-g {_policy_chain(number)}") for mark, number in marked.items()}
    chains.update(tree(DISPATCH, policies, mask, clear))
    for policy in family.policies:
        chains.update(_policy(family, version, policy, mask))
    declared = {egress.number: egress.ways for egress in marks.egresses}
    for number in egress_numbers(marks):
        chains[_egress_chain(number)] = _egress(declared.get(number) or (Way(number),), mask)
    chains.update(iptables_chains(marks, version))
    chains.update(iptables_forward.mangle(marks, version))
    chains.update(iptables_host.mangle(marks, version, iptables_forward.GUARD))
    return chains


def _egress(ways: tuple[Way, ...], mask: int) -> list[str]:
    """Return the rules that give a new flow one of the ways' marks, by chance and weight.

    Each way takes the flow from those before it with its share of the weights so far.
    """
    lines, total = [], 0
    for way in ways:
        total += way.weight
        mark = f"-j MARK --set-xmark {mark_of(way.number, mask):#x}/{mask:#x}"
        lines.append(mark if way is ways[0] else f"{_chance(way.weight, total)} {mark}")
    return [*lines, f"-j CONNMARK --save-mark --nfmask {mask:#x} --ctmask {mask:#x}"]


def _chance(weight: int, total: int) -> str:
    probability = round(weight / total * _WHOLE) / _WHOLE  # as the kernel keeps and iptables-save prints it
    return f"-m statistic --mode random --probability {probability:.11f}"


def _policy(family: FamilyMarks, version: int, policy: MarkPolicy, mask: int) -> dict[str, list[str]]:
    bit = classified_bit(mask)
    ends = Ends(f"-g {CLASSIFY}-EGRESS-{{}}", f"-m mark --mark {bit:#x}/{bit:#x} -j RETURN")
    chains: dict[str, list[str]] = {}
    chain = [*lines(policy.rules, version, ends, chains), f"-g {_egress_chain(policy.default)}"]
    if family.special:
        special = [*lines(policy.special, version, ends, chains), f"-g {_egress_chain(DIRECT)}"]
        # Named by its content: policies with the same special rules share the chain. With as many digits as a name has
        # room for: of 8,191 different contents two would have the same eight digits in one of 128 gateways.
        name = f"{CLASSIFY}-SPECIAL-{hashlib.sha256(chr(10).join(special).encode()).hexdigest()[:11]}"
        chains[name] = special
        chain.insert(0, f"-m set --match-set {family.special} dst -g {name}")
    chains[_policy_chain(policy.number)] = chain
    return chains


def _unknown(entry: LanNetwork) -> str:
    """Return where those lead who are behind the server's interface and no clients."""
    return "-j RETURN" if entry.policy is None else f"-g {_policy_chain(entry.policy)}"


def _policy_chain(number: int) -> str:
    return f"{CLASSIFY}-POLICY-{number}"


def _egress_chain(number: int) -> str:
    return f"{CLASSIFY}-EGRESS-{number}"


def read(system: System) -> Ruleset:
    """Return our chains and entries as they are; nothing on a host without the tools. Raises ReconcileError."""
    chains: dict[Place, tuple[Line, ...]] = {}
    for version in FAMILIES:
        chains.update(iptables_io.read(system, version))
    lookups, clients = {}, {}
    for version, (kind, entries) in _read_lookups(system).items():
        lookups[version], clients[version] = kind, entries
    return Ruleset(chains, lookups, clients)


def _read_lookups(system: System) -> dict[int, tuple[str, dict[str, str]]]:
    if not system.has("ipset"):
        return {}
    there = ipset.run_read(system, "ipset", "list", "-n").split()
    found = {}
    for version, name in LOOKUPS.items():
        if name in there:
            head, *lines = ipset.run_read(system, "ipset", "save", name).splitlines()
            entries = (line.split(" ", 3)[2:] for line in lines)
            found[version] = (
                ipset.header_of(head.split(" ", 2)[2]),
                {entry[0]: entry[1].replace("skbmark ", "") if len(entry) > 1 else "(none)" for entry in entries},
            )
    return found


def write(system: System, steps: list[Step]) -> None:
    """Carry out the steps: lookups made, chains, then entries; entries go before the chains that they lead to.

    Raises ReconcileError.
    """
    chains = [step for step in steps if isinstance(step, ChainStep)]
    lookups = [step for step in steps if isinstance(step, LookupStep)]
    entries = [step for step in steps if isinstance(step, ClientsStep)]
    sizes = {step.family: sum(1 for _, _, entry in step.entries if entry) for step in entries}
    made = [line for step in lookups if step.wanted for line in _make_lookup(step, sizes.get(step.family, 0))]
    ipset.restore(system, made + _withheld(entries, bool(chains)))
    iptables_io.write(system, chains)
    ipset.restore(system, [line for step in entries for line in _entry_lines(step)])
    ipset.destroy(system, [LOOKUPS[step.family] for step in lookups if not step.wanted])


def _make_lookup(step: LookupStep, entries: int) -> list[str]:
    name, options = LOOKUPS[step.family], ipset.create_options(step.wanted, entries)
    if not step.found:
        return [f"create {name} {options}"]
    return [f"create {name}t {options}", f"swap {name}t {name}", f"destroy {name}t"]


def _withheld(steps: list[ClientsStep], chains_change: bool) -> list[str]:
    """Return the lines that take out, before the chains change, entries that move or go.

    Else a client on its way from policy 5 to 6 would for a moment be judged by a new content of 5. Meanwhile
    its new flows are unclassified, which the guards refuse.
    """
    if not chains_change:
        return []
    return [f"del {LOOKUPS[step.family]} {client}" for step in steps for client, was, _ in step.entries if was]


def _entry_lines(step: ClientsStep) -> list[str]:
    name = LOOKUPS[step.family]
    lines = []
    for client, _, entry in step.entries:
        lines.append(f"add {name} {client} skbmark {entry}" if entry else f"del {name} {client}")
    return lines
