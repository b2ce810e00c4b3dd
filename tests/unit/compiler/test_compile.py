# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiler against an independent matcher: what its lines, sets and chains do is what the rules say.

The oracle knows rules only. The compiled side knows lines, sets and chains only, and plays dnsmasq
(one line a name, the longest that matches) and the chains (first set that holds the address).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import time

import netaddr
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitway.compiler import (
    CompileError,
    compile_state,
    names,
    policies,
)
from splitway.sealed import digest, parts_of, sealed, state_of, unsealed
from splitway.state import (
    State,
    mark_of,
)
from splitway.topology.model import (
    Client,
    Endpoint,
    Group,
    List,
    Member,
    Policy,
    Rule,
    Server,
    Topology,
    Upstream,
)

LABELS = ["a", "b", "c"]
NAMES = [
    ".".join(parts)
    for parts in [(x,) for x in ("com", "net")]
    + [(y, x) for x in ("com", "net") for y in LABELS]
    + [(z, y, x) for x in ("com", "net") for y in LABELS for z in LABELS]
]
ADDRESSES = ["8.8.8.8", "8.8.4.4", "9.9.9.9", "10.1.2.3", "192.168.7.7", "169.254.169.254", "2001:db8::1", "fd00::7"]
NETWORKS = ["8.8.8.0/24", "8.0.0.0/8", "0.0.0.0/0", "10.1.0.0/16", "10.0.0.0/7", "192.168.7.7/32", "169.254.169.254/32"]
NETWORKS += ["2001:db8::/32", "::/0", "fd00::/64"]
EGRESSES = ["direct", "block", "us", "eu", "off", "fast"]
SPECIAL = ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4"]
SPECIAL += ["::1/128", "fc00::/7", "fe80::/10", "ff00::/8"]


def upstream(name: str, enabled: bool = True) -> Upstream:
    return Upstream(name, Endpoint("198.51.100.1", 51820), "key", (ipaddress.ip_network("0.0.0.0/0"),), enabled=enabled)


FAST = Group("fast", (Member("us"), Member("off")), on_down="direct")


def topology(
    lists: dict,
    clients: dict,
    backend: str = "ipset",
    upstreams: tuple = ("us", "eu"),
    groups: tuple[Group, ...] = (),
) -> Topology:
    return Topology(
        server=Server("wg0", 51820, (ipaddress.ip_interface("10.8.0.1/16"), ipaddress.ip_interface("fd08::1/64"))),
        upstreams=(*map(upstream, upstreams), upstream("off", enabled=False)),
        lists=tuple(List(name, *content) for name, content in lists.items()),
        clients=tuple(
            Client(
                name,
                (ipaddress.IPv4Address("10.8.0.2") + index, ipaddress.IPv6Address("fd08::2") + index),
                policy,
            )
            for index, (name, policy) in enumerate(clients.items())
        ),
        backend=backend,
        groups=groups,
    )


domains = st.lists(st.sampled_from(NAMES), max_size=5, unique=True).map(tuple)
networks = st.lists(st.sampled_from(NETWORKS).map(ipaddress.ip_network), max_size=2, unique=True).map(tuple)
list_content = st.tuples(domains, networks)
egress = st.sampled_from(EGRESSES)
rule = st.one_of(
    st.builds(lambda e, d: Rule(e, domains=(d,)), egress, st.sampled_from(NAMES)),
    st.builds(lambda e, n: Rule(e, networks=(ipaddress.ip_network(n),)), egress, st.sampled_from(NETWORKS)),
    st.builds(lambda e, name: Rule(e, lists=(name,)), egress, st.sampled_from(["one", "two", "three"])),
)
policy = st.builds(Policy, st.lists(rule, max_size=6).map(tuple), egress)
topologies = st.builds(
    topology,
    st.fixed_dictionaries(dict.fromkeys(("one", "two", "three"), list_content)),
    st.dictionaries(st.sampled_from(["alice", "bob", "carol", "dave"]), policy, min_size=1),
    st.sampled_from(["ipset", "nftables"]),
    groups=st.just((FAST,)),
)
answers = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=3))


def oracle(given_topology: Topology, client: str, address: str, answered: dict[str, list[str]]) -> str:
    """Return the egress that the rules lead to, from the rules alone."""
    lists = {entry.name: entry for entry in given_topology.lists}
    chosen = next(entry.policy for entry in given_topology.clients if entry.name == client)
    destination = netaddr.IPAddress(address)
    special = [parent for parent in map(netaddr.IPNetwork, SPECIAL) if destination in parent]
    answered_names = [name for name, addresses in answered.items() if address in addresses]
    for entry in chosen.rules:
        content = lists[entry.lists[0]] if entry.lists else List("", entry.domains, entry.networks)
        matches = [network for network in map(netaddr.IPNetwork, map(str, content.networks)) if destination in network]
        if special:
            if any(network in parent for network in matches for parent in special):
                return entry.egress
        elif matches or any(f".{name}".endswith(f".{domain}") for name in answered_names for domain in content.domains):
            return entry.egress
    if special:
        return "block" if destination in netaddr.IPNetwork("169.254.0.0/16") else "direct"
    return chosen.default


def learn(state: State, answered: dict[str, list[str]]) -> dict[str, set[str]]:
    """Return the learned sets after dnsmasq gave these answers."""
    lines = {text.split("/")[1]: text.split("/", 2)[2] for text in state.dns.lines}
    learned: dict[str, set[str]] = {}
    for name, addresses in answered.items():
        matching = [domain for domain in lines if f".{name}".endswith(f".{domain}")]
        if not matching:
            continue
        for target in lines[max(matching, key=len)].split(","):
            set_name = target.rsplit("#", 1)[-1]
            learned.setdefault(set_name, set()).update(a for a in addresses if (":" in a) == (set_name[2] == "6"))
    return learned


def compiled_way(state: State, client_index: int, address: str, learned: dict[str, set[str]]) -> str:
    """Return the egress that sets and chains lead to."""
    destination = ipaddress.ip_address(address)
    static = {entry.name: entry.members for entry in state.sets if entry.timeout is None}
    static.update(state.marks.networks)

    def holds(name: str) -> bool:
        if name in static:
            return any(destination in ipaddress.ip_network(member) for member in static[name])
        return address in learned.get(name, ())

    family = state.marks.family(destination.version)
    number = family.clients[list(family.clients)[client_index]]
    chain = next(entry for entry in family.policies if entry.number == number)
    rules, default = (chain.special, 0) if holds(family.special) else (chain.rules, chain.default)
    egress_number = next((entry.egress for entry in rules if any(map(holds, entry.sets))), default)
    return next(entry.name for entry in state.marks.egresses if entry.number == egress_number)


@settings(max_examples=400, deadline=None)
@given(topologies, answers)
def test_every_address_takes_the_way_of_the_first_rule_that_holds_it(given_topology, answered):
    check(given_topology, answered)


@settings(max_examples=200, deadline=None)
@given(topologies, answers)
def test_names_in_more_lists_than_one_line_holds_take_the_same_way(given_topology, answered):
    longest, policies.LONGEST_LINE = policies.LONGEST_LINE, 34 if given_topology.backend == "ipset" else 60
    try:
        state = check(given_topology, answered)
        assert all(text.count(",") <= 3 for text in state.dns.lines)
    finally:
        policies.LONGEST_LINE = longest


def check(given_topology: Topology, answered: dict[str, list[str]]) -> State:
    state = compile_state(given_topology, {})
    learned = learn(state, answered)
    known = {entry.name for entry in state.sets} | set(state.marks.networks)
    for family in (state.marks.v4, state.marks.v6):
        for chain in family.policies:
            assert {name for entry in (*chain.rules, *chain.special) for name in entry.sets} <= known
    for index, client in enumerate(given_topology.clients):
        for address in ADDRESSES:
            expected = oracle(given_topology, client.name, address, answered)
            assert compiled_way(state, index, address, learned) == expected, (client.name, address)
    return state


@settings(max_examples=150, deadline=None)
@given(topologies, topologies)
def test_numbers_are_stable(before, after):
    old = compile_state(before, {})
    assert compile_state(before, old.numbers) == old
    assert state_of(unsealed(sealed(parts_of(old)))) == old
    new = compile_state(after, old.numbers)
    for key in old.numbers.keys() & new.numbers.keys():
        if key.startswith(("egress:", "set:list/")):
            assert new.numbers[key] == old.numbers[key]
    again = compile_state(after, new.numbers)
    assert digest(again) == digest(new)
    for entry in new.sets:
        if entry.seed_from is not None:  # only a set that is new takes another's addresses along
            assert entry.name not in {known.name for known in old.sets}


@pytest.mark.parametrize(
    "domains",
    [
        (("direct", "com"), ("direct", "net"), ("block", "com"), ("direct", "com")),
        (("direct", "com"), ("block", "com"), ("direct", "com"), ("direct", "net")),
    ],
)
def test_a_name_that_a_policy_has_twice_changes_nothing_at_the_next_run(domains):
    wanted = topology({}, {"alice": Policy(tuple(Rule(egress, domains=(domain,)) for egress, domain in domains))})
    first = compile_state(wanted, {})
    assert compile_state(wanted, first.numbers) == first


def test_upstreams_keep_their_numbers_when_others_come_and_go():
    clients = {"alice": Policy((), "us")}
    first = compile_state(topology({}, clients, upstreams=("us", "eu")), {})
    assert {key: first.numbers[key] for key in ("egress:us", "egress:eu")} == {"egress:us": 101, "egress:eu": 102}
    second = compile_state(topology({}, clients, upstreams=("jp", "us")), first.numbers)
    assert (second.numbers["egress:us"], second.numbers["egress:jp"]) == (101, 104)  # 102 and 103 still name others
    assert [device.interface for device in second.upstreams] == ["wg-up-4", "wg-up-1"]


def test_with_another_base_an_upstream_keeps_its_interface_and_no_number_gets_another_meaning():
    """A tunnel that became another upstream's would carry the first one's packets until its table changes."""
    wanted = topology({}, {"alice": Policy((), "us")}, upstreams=("us", "eu"))
    first = compile_state(wanted, {})
    far = compile_state(dataclasses.replace(wanted, table_base=150), first.numbers)
    assert [device.interface for device in far.upstreams] == [device.interface for device in first.upstreams]
    assert not {table.number for table in far.routes.tables} & {table.number for table in first.routes.tables}
    for base in (98, 99, 101, 102):
        with pytest.raises(CompileError, match=f"{base} is too near to 100.*: choose one below 97 or above 103"):
            compile_state(dataclasses.replace(wanted, table_base=base), first.numbers)


def test_two_clients_with_the_same_rules_share_a_set_until_one_is_edited():
    rules = (Rule("us", domains=("a.com",)), Rule("us", networks=(ipaddress.ip_network("8.8.8.0/24"),)))
    same = compile_state(topology({}, {"alice": Policy(rules), "bob": Policy(rules)}), {})
    assert len(same.marks.v4.policies) == 1
    edited = compile_state(
        topology({}, {"alice": Policy(rules), "bob": Policy((*rules, Rule("us", domains=("b.com",))))}), same.numbers
    )
    learned = {entry.name: entry.seed_from for entry in edited.sets if entry.timeout}
    assert learned == {"sw4d1": None, "sw6d1": None, "sw4d2": "sw4d1", "sw6d2": "sw6d1"}


def test_a_private_lists_addresses_go_where_its_names_go():
    def sets_of(state):
        """Return name → its learned set."""
        return {text.split("/")[1]: text.split("/")[2].split(",")[0] for text in state.dns.lines}

    def compiled(numbers, *rules):
        policy = Policy(tuple(Rule(egress, domains=(name,)) for name, egress in rules))
        return compile_state(topology({}, {"alice": policy}, upstreams=("us", "eu")), numbers)

    first = compiled({}, ("a.com", "us"), ("b.com", "eu"))
    swapped = compiled(first.numbers, ("a.com", "eu"), ("b.com", "us"))
    assert sets_of(swapped) == sets_of(first)
    more = compiled(first.numbers, ("new.com", "block"), ("c.com", "us"), ("a.com", "us"), ("b.com", "eu"))
    assert sets_of(more)["a.com"] == sets_of(first)["a.com"]
    together = compiled(first.numbers, ("a.com", "eu"), ("b.com", "eu"), ("c.com", "eu"))
    assert sets_of(together) == {**sets_of(first), "c.com": sets_of(first)["a.com"]}
    others = compiled(first.numbers, ("c.com", "us"), ("b.com", "eu"))
    assert sets_of(others)["c.com"] not in sets_of(first).values()  # what was learned for a.com is none of its


def test_a_list_keeps_its_set_under_another_name():
    def compiled(numbers, name):
        return compile_state(
            topology({name: (("a.com",), ())}, {"alice": Policy((Rule("us", lists=(name,)),))}), numbers
        )

    first = compiled({"set:list/gone": 1}, "films")
    assert compiled(first.numbers, "cinema").dns == first.dns


def test_a_disabled_upstream_keeps_a_table_with_its_floor_only():
    state = compile_state(topology({}, {"alice": Policy((), "off")}), {})
    table = next(entry for entry in state.routes.tables if entry.egress == "off")
    assert (table.interface, table.floor) == (None, "unreachable")
    assert any(
        entry.table == table.number and entry.mark == mark_of(table.number, 0x3FFF) for entry in state.routes.rules
    )
    assert "off" not in [device.name for device in state.upstreams]


def test_a_child_is_pruned_only_when_it_leads_where_its_parent_leads():
    closed = names.close([["com", "a.com", "b.a.com"], ["a.com"], ["c.com"]])
    assert closed.holders == {"com": {0}, "a.com": {0, 1}, "c.com": {0, 2}}


@pytest.mark.parametrize("backend", ["ipset", "nftables"])
def test_no_line_is_longer_than_dnsmasq_reads(backend):
    lists = {f"list{index}": ((f"{'x' * 60}.{'y' * 60}.com", f"only{index}.com"), ()) for index in range(300)}
    rules = tuple(Rule("us", lists=(name,)) for name in lists)
    state = compile_state(topology(lists, {"alice": Policy(rules)}, backend), {})
    assert max(len(text) for text in state.dns.lines) <= 1000
    crowded = [entry for entry in state.sets if entry.comment.startswith("names in 300 lists")]
    assert len(crowded) == 2
    chain = state.marks.v4.policies[0]
    assert all(crowded[0].name in entry.sets for entry in chain.rules)


def test_what_does_not_fit_into_the_mask_is_an_error():
    small = topology({}, {"alice": Policy((), "us")}, upstreams=(*tuple(f"u{index}" for index in range(30)), "us"))
    with pytest.raises(CompileError, match="32 upstreams do not fit between splitway_table_base 100 and"):
        compile_state(Topology(**{**small.__dict__, "mark_mask": 0xFF}), {})


def test_five_thousand_clients_compile_in_seconds():
    lists = {f"l{index}": (tuple(f"n{number}.l{index}.example" for number in range(400)), ()) for index in range(100)}
    clients = {
        f"c{index}": Policy(
            (Rule("us", lists=(f"l{index % 100}",)), Rule("direct", domains=(f"d{index % 200}.example",)))
        )
        for index in range(5000)
    }
    started = time.process_time()
    state = compile_state(topology(lists, clients), {})
    print(f"5,000 clients, 40,000 domains: {time.process_time() - started:.2f} s")
    assert len(state.dns.lines) == 40_200
    assert len(state.marks.v4.policies) == 200
