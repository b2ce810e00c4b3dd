# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of the section `marks`, and the verdict as a function, against an independent matcher."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.reconcile import marks, sets
from splitway.reconcile.base import ADD, REMOVE, Change, ReconcileError, additions, removals
from splitway.reconcile.marks import iptables as marks_iptables
from splitway.reconcile.marks import iptables_io as iptables
from splitway.reconcile.marks import nftables as marks_nftables
from splitway.reconcile.marks.model import ChainStep, ClientsStep, LookupStep, Place, Ruleset
from splitway.reconcile.marks.networks import destination_matches
from splitway.reconcile.marks.tree import leaf, tree
from splitway.services import Ports, Service
from splitway.state import (
    AddressSet,
    ClientGuard,
    Egress,
    FamilyMarks,
    MarkPolicy,
    MarkRule,
    Marks,
    TunnelMtu,
    Way,
    mark_of,
)
from splitway.system import System, SystemFailure
from splitway.verdict import decide, holder, network_index, verdict

BACKENDS = ("ipset", "nftables")
RENDER = {"ipset": marks_iptables.render, "nftables": marks_nftables.render}
SETS = ("sw4n1", "sw4n2", "sw4d1", "sw4p1")

rules = st.lists(
    st.builds(
        MarkRule,
        st.lists(st.sampled_from(SETS), min_size=1, max_size=3).map(tuple),
        st.sampled_from((0, 99, 101, 102, 103)),
    ),
    max_size=4,
).map(tuple)
numbers = st.integers(1, 8190)


@st.composite
def families(draw: st.DrawFn) -> FamilyMarks:
    chosen = tuple(
        MarkPolicy(number, f"p{number}", draw(rules), draw(st.sampled_from((0, 99, 101))), draw(rules))
        for number in draw(st.lists(numbers, unique=True, min_size=1, max_size=25))
    )
    clients = draw(st.dictionaries(st.sampled_from([f"10.8.0.{i}" for i in range(2, 9)]), st.sampled_from(chosen)))
    return FamilyMarks({client: policy.number for client, policy in clients.items()}, chosen, "sw4s")


GROUP = Egress(103, "group")


def section(v4: FamilyMarks, group: Egress = GROUP, mtus: tuple[TunnelMtu, ...] = ()) -> Marks:
    egresses = (Egress(0, "direct"), Egress(99, "block"), Egress(101, "us", "wg-up-1"), Egress(102, "eu", "wg-up-2"))
    egresses = (*egresses, group)
    networks = {name: ("198.51.100.0/24",) for name in (*SETS, "sw4s") if name[3] != "d"}
    return Marks("wg0", "wg-up-", 0x3FFF, egresses, v4, FamilyMarks(), networks, mtus)


ways = st.lists(st.builds(Way, st.sampled_from((101, 102, 103)), st.integers(1, 100)), max_size=4).map(tuple)
groups = st.builds(lambda some, direct: Egress(103, "group", ways=some, direct=direct), ways, st.booleans())
tunnel_mtus = st.lists(
    st.builds(TunnelMtu, st.sampled_from(("wg-up-1", "wg-up-2")), st.sampled_from((1280, 1412))),
    unique_by=lambda tunnel: tunnel.interface,
).map(tuple)
sections = st.builds(section, families(), groups, tunnel_mtus)


def apply_to(found: Ruleset, changes: tuple[Change, ...]) -> Ruleset:
    """Return what a ruleset becomes by the changes."""
    chains, lookups = dict(found.chains), dict(found.lookups)
    clients = {family: dict(entries) for family, entries in found.clients.items()}
    for _, step in (change.payload for change in changes):
        if isinstance(step, ChainStep):
            assert chains.pop(step.place, ()) == step.found
            if step.wanted:
                chains[step.place] = step.wanted
        elif isinstance(step, LookupStep):
            assert lookups.pop(step.family, "") == step.found
            clients.pop(step.family, None)
            if step.wanted:
                lookups[step.family], clients[step.family] = step.wanted, {}
        else:
            assert isinstance(step, ClientsStep)
            for client, was, now in step.entries:
                assert clients[step.family].pop(client, "") == was
                if now:
                    clients[step.family][client] = now
    return Ruleset(chains, lookups, clients)


@pytest.mark.parametrize("backend", BACKENDS)
@given(old=st.none() | sections, new=st.none() | sections)
def test_a_plan_leads_from_any_rules_to_the_desired_ones(
    backend: str, old: Optional[Marks], new: Optional[Marks]
) -> None:
    found = Ruleset() if old is None else RENDER[backend](old)
    wanted = Ruleset() if new is None else RENDER[backend](new)
    empty = dict.fromkeys(BACKENDS, Ruleset())
    changes = marks.plan(new, marks.Current(backend, {**empty, backend: found}))
    assert changes == additions(changes) + removals(changes)
    assert apply_to(found, changes) == wanted
    assert marks.plan(new, marks.Current(backend, {**empty, backend: wanted})) == ()


@pytest.mark.parametrize("backend", BACKENDS)
@given(old=sections, new=sections)
def test_additions_name_no_chain_that_is_not_there(backend: str, old: Marks, new: Marks) -> None:
    """Before the removals, too: all that is left of the old rules still leads somewhere."""
    found = RENDER[backend](old)
    empty = dict.fromkeys(BACKENDS, Ruleset())
    changes = marks.plan(new, marks.Current(backend, {**empty, backend: found}))
    for ruleset in (apply_to(found, additions(changes)), apply_to(found, changes)):
        for place, lines in ruleset.chains.items():
            for line in lines:
                for target in re.findall(r"(?:goto|jump|-g|-j) ([\w-]+)", line.text):
                    known = target.isupper() and "SPLITWAY" not in target  # RETURN, DROP, MARK …
                    assert known or place._replace(chain=target) in ruleset.chains


@given(old=sections)
def test_the_other_backend_is_removed(old: Marks) -> None:
    found = {"ipset": marks_iptables.render(old), "nftables": Ruleset()}
    changes = marks.plan(old, marks.Current("nftables", found))
    gone = removals(changes)
    assert {change.payload[0] for change in gone} == {"ipset"}
    assert apply_to(found["ipset"], gone) == Ruleset()


def literal_matcher(family: FamilyMarks, number: int, address: str, contents: dict[str, list[str]]) -> int:
    """The oracle: semantics.md read literally."""
    policy = {policy.number: policy for policy in family.policies}[number]
    holding = [
        n
        for n, networks in contents.items()
        for x in networks
        if ipaddress.ip_address(address) in ipaddress.ip_network(x)
    ]
    special = family.special in holding
    for item in policy.special if special else policy.rules:
        if set(item.sets) & set(holding):
            return item.egress
    return 0 if special else policy.default


small = st.integers(0, 15).map(lambda i: f"198.51.100.{i}")
networks = st.lists(
    st.builds(
        lambda a, n: str(ipaddress.ip_network(f"{a}/{n}", strict=False)), small, st.sampled_from((0, 28, 30, 31, 32))
    ),
    max_size=4,
)


@given(families(), st.fixed_dictionaries(dict.fromkeys((*SETS, "sw4s"), networks)), small, st.data())
def test_the_verdict_is_that_of_an_independent_matcher(
    family: FamilyMarks, contents: dict[str, list[str]], address: str, data: st.DataObject
) -> None:
    contents["sw4d1"] = [network.split("/")[0] for network in contents["sw4d1"]]
    holds = holder({k: v for k, v in contents.items() if k != "sw4d1"}, {"sw4d1": set(contents["sw4d1"])})
    number = data.draw(st.sampled_from([policy.number for policy in family.policies]))
    assert verdict(family, number, address, holds) == literal_matcher(family, number, address, contents)


v6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)


@given(st.lists(st.builds(lambda a, n: ipaddress.ip_network(f"{a}/{n}", strict=False), v6, st.integers(0, 128))), v6)
def test_the_index_of_networks_holds_what_the_networks_hold(
    some: list[ipaddress.IPv6Network], address: ipaddress.IPv6Address
) -> None:
    index = network_index(map(str, some))
    edges = [a for network in some for a in (network[0], network[-1])]
    assert all(index.holds(int(edge)) for edge in edges)
    for probe in (address, *(ipaddress.IPv6Address((int(edge) + d) % 2**128) for edge in edges for d in (-1, 1))):
        assert index.holds(int(probe)) == any(probe in network for network in some)


def walk(chains: dict[str, list[str]], root: str, mark: int) -> tuple[str, int]:
    """Return where a mark ends in a tree, and how many rules it was compared with."""
    chain, compared = chains[root], 0
    while True:
        for rule in chain:
            compared += 1
            match = re.match(r"-m mark --mark (0x[0-9a-f]+)/(0x[0-9a-f]+) -g (\S+)", rule)
            if match is None:
                return rule, compared
            if mark & int(match[2], 16) == int(match[1], 16):
                if match[3] not in chains:
                    return match[3], compared
                chain = chains[match[3]]
                break


@given(
    st.sets(st.integers(0, 8191), min_size=1, max_size=400),
    st.integers(0, 8191),
    st.sampled_from((0x3FFF, 0x3FFF00, 0xFFFC0000)),
)
def test_the_tree_finds_every_number_and_no_other(numbers: set[int], other: int, mask: int) -> None:
    marked = {mark_of(number, mask): number for number in numbers}
    chains = tree("T", {mark: leaf(mark, mask, f"-g LEAF{number}") for mark, number in marked.items()}, mask, "none")
    assert all(len(lines) <= 17 for lines in chains.values())
    for mark, number in marked.items():
        found, compared = walk(chains, "T", mark)
        assert found == f"LEAF{number}"
        assert compared <= 64
    expected = f"LEAF{other}" if other in numbers else "none"
    assert walk(chains, "T", mark_of(other, mask))[0] == expected


def shares_by_iptables(lines: list[str]) -> dict[int, float]:
    """Return the share of each mark, by the rules read as the kernel reads them."""
    shares: dict[int, float] = {}
    for line in lines:
        probability = float((re.search(r"--probability (\S+)", line) or [0, "1"])[1])
        if found := re.search(r"MARK --set-xmark (\w+)/", line):
            shares = {mark: share * (1 - probability) for mark, share in shares.items()}
            mark = int(found[1], 16)
            shares[mark] = shares.get(mark, 0) + probability
    return shares


def shares_by_nftables(line: str) -> dict[int, float]:
    total = re.search(r"mod (\d+) vmap", line)
    if total is None:
        return {mark_of(int(line.rpartition("_")[2]), 0x3FFF): 1}
    shares: dict[int, float] = {}
    for first, last, number in re.findall(r"(\d+)(?:-(\d+))? : goto \w+_(\d+)", line):
        mark = mark_of(int(number), 0x3FFF)
        shares[mark] = shares.get(mark, 0) + (int(last or first) - int(first) + 1) / int(total[1])
    return shares


@given(ways.filter(bool))
def test_each_way_has_its_share(some: tuple[Way, ...]) -> None:
    marked = section(FamilyMarks(), Egress(103, "group", ways=some))
    by_iptables = RENDER["ipset"](marked).chains[Place(4, "mangle", "SPLITWAY-EGRESS-103")]
    by_nftables = RENDER["nftables"](marked).chains[Place(0, "splitway", "egress_103")]
    total = sum(way.weight for way in some)
    expected = {
        mark_of(number, 0x3FFF): sum(way.weight for way in some if way.number == number) / total
        for number in {way.number for way in some}
    }
    assert shares_by_iptables([line.text for line in by_iptables]) == pytest.approx(expected, abs=1e-6)
    assert shares_by_nftables(by_nftables[0].text) == pytest.approx(expected)


class Bare(System):
    """A host on which nothing is installed yet."""

    def has(self, program: str) -> bool:
        return program == "sh"

    def run(self, *argv: str, **_options: object) -> str:
        raise SystemFailure(f"{argv[0]} is not installed")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_host_without_tools_reads_as_empty_and_is_a_clear_error_in_a_real_run(backend: str) -> None:
    host, wanted = Bare(), section(FamilyMarks({"10.8.0.2": 1}, (MarkPolicy(1, "", (), 0),), "sw4s"))
    changes = marks.plan(wanted, marks.read(host, wanted, backend))
    assert {change.action for change in changes} == {ADD}
    with pytest.raises(ReconcileError, match="is not installed"):
        marks.apply(host, changes)
    learned = (AddressSet("sw4d1", 4, 600),)
    of_sets = sets.plan(learned, sets.read(host, learned, backend))
    with pytest.raises(ReconcileError, match="is not installed"):
        sets.apply(host, of_sets)


SAVED = """\
# Generated by iptables-save v1.8.9 (nf_tables)
*mangle
:PREROUTING ACCEPT [0:0]
:SPLITWAY - [0:0]
:SPLITWAYS - [0:0]
:OTHER - [0:0]
-A PREROUTING -i eth0 -j OTHER
-A PREROUTING -i wg0 -j SPLITWAY
-A SPLITWAY -m mark --mark 0x1/0x3fff -g SPLITWAY-X
-A SPLITWAYS -j SPLITWAY
-A OTHER -j SPLITWAY
COMMIT
"""


class Recording(System):
    """A host that takes whatever it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[str] = []

    def run(self, *argv: str, input: Optional[str] = None, **_options: object) -> str:
        self.tables += [f"{argv[0]} {line}" for line in (input or "").splitlines() if line.startswith("*")]
        return ""


def test_connections_are_classified_after_and_before_all_else_that_concerns_them() -> None:
    """What passes between two tables would stay without a translated address, or ask a resolver of its own."""
    clients = FamilyMarks({"10.8.0.2": 1}, (MarkPolicy(1, "", (), 0),), "sw4s")
    wanted = dataclasses.replace(section(clients), guard=ClientGuard(redirect_dns=True, ports=()))
    rendered = marks_iptables.render(wanted)
    come, go = Recording(), Recording()
    marks.apply(come, marks.plan(wanted, marks.Current("ipset", {"ipset": Ruleset()})))
    marks.apply(go, marks.plan(None, marks.Current("ipset", {"ipset": rendered})))
    order = [f"iptables-restore *{table}" for table in ("nat", "filter", "mangle")]
    assert [line for line in come.tables if line.startswith("iptables")] == order
    assert [line for line in go.tables if line.startswith("iptables")] == order[::-1]


def test_of_an_iptables_save_only_what_is_ours_is_read() -> None:
    chains = iptables.parse(SAVED, 4)
    assert {place.chain: [line.text for line in lines] for place, lines in chains.items()} == {
        "PREROUTING": ["2 -i wg0 -j SPLITWAY"],
        "SPLITWAY": ["-m mark --mark 0x1/0x3fff -g SPLITWAY-X"],
    }


def test_a_rule_that_names_ports_alone_is_for_tcp_and_udp() -> None:
    """As the module `split_mark` takes it; the compiler names the protocols."""
    policy = MarkPolicy(1, "p", (MarkRule(("sw4d1",), 101, ports=(Ports(443, 443),)),), 0)
    section = Marks("wg0", "wg-up-", 0x3FFF, (), FamilyMarks({}, (policy,)), FamilyMarks())
    for backend, render in RENDER.items():
        asking = [line.text for lines in render(section).chains.values() for line in lines if "443" in line.text]
        assert [text.split("dport")[0].split()[0:2] for text in asking] == {
            "ipset": [["-p", "tcp"], ["-p", "udp"]],
            "nftables": [["tcp"], ["udp"]],
        }[backend]
    found = {6: 101, 17: 101, 1: 0, 132: 0}
    for protocol, number in found.items():
        assert decide(section.v4, policy, "192.0.2.1", lambda *_: True, Service(protocol, 443)) == number


def test_an_empty_stale_chain_is_removed() -> None:
    found = Ruleset({Place(4, "mangle", "SPLITWAY-OLD"): ()})
    changes = marks.plan(None, marks.Current("ipset", {"ipset": found, "nftables": Ruleset()}))
    assert [(change.action, change.what) for change in changes] == [(REMOVE, "chain mangle SPLITWAY-OLD (v4) (ipset)")]


@pytest.mark.parametrize("mask", [0x3FFF, 0xFFFC0000])
@pytest.mark.parametrize("backend", BACKENDS)
def test_chain_names_fit(backend: str, mask: int) -> None:
    """iptables allows 28 characters."""
    wide = tuple(Egress(number, f"e{number}", f"wg-up-{number}") for number in range(1, 8191, 7))
    policies = tuple(MarkPolicy(number, "", (), 0) for number in range(1, 8191, 7))
    everything = dataclasses.replace(section(FamilyMarks({}, policies, "sw4s")), egresses=wide, mask=mask)
    for place in RENDER[backend](everything).chains:
        assert len(place.chain) <= 28


@given(
    st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 32)), min_size=1, max_size=20), st.integers(0, 2**16)
)
def test_networks_are_matched_without_intervals(drawn: list[tuple[int, int]], asked: int) -> None:
    """dnsmasq reads every set of intervals for each address that it adds: nft prints those as `a-b` or `a/n`."""
    spread = 0x9E3779B1  # the addresses lie all over
    networks = [ipaddress.IPv4Network((start * spread % 2**32, length), strict=False) for start, length in drawn]
    matches = destination_matches(4, tuple(map(str, networks)))
    assert not any(re.search(r"\{[^}]*[-/]", match) for match in matches)
    destination = ipaddress.IPv4Address(asked * spread % 2**32)
    assert any(_meets(match, destination) for match in matches) == any(destination in network for network in networks)


def _meets(match: str, destination: ipaddress.IPv4Address) -> bool:
    if match == "meta nfproto ipv4":
        return True
    parts = re.fullmatch(r"ip daddr(?: & ([\d.]+))? \{ ([\d., ]+) \}", match)
    assert parts is not None
    mask = int(ipaddress.IPv4Address(parts[1] or "255.255.255.255"))
    return str(ipaddress.IPv4Address(int(destination) & mask)) in parts[2].split(", ")
