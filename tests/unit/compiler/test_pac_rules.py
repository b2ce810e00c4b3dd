# SPDX-License-Identifier: GPL-3.0-or-later
"""PAC files say what the policy says, as far as a browser can know it; where it cannot, they say "proxy"."""

from __future__ import annotations

import dataclasses
import itertools
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.compiler.test_compile import ADDRESSES, NAMES, oracle, topologies
from ansible_collections.splitway.gateway.tests.unit.pac.engines import answers
from splitway.compiler.networks import SPECIAL
from splitway.compiler.pac import compile_web
from splitway.compiler.pac_rules import Kind, PacRule, compile_tables
from splitway.pac import ANSWERS, BLOCKED, DIRECT, PROXY, ProxyServer, Tables, pac_text
from splitway.services import Ports
from splitway.topology.model import Pac, Policy, Rule, Topology

THROUGH, REFUSED = "PROXY 10.8.0.1:8080", "PROXY 127.0.0.1:9"
WORDS = {DIRECT: "DIRECT", PROXY: THROUGH, BLOCKED: REFUSED}
METADATA = "169.254.169.254"  # clients are refused it; a browser's own link is the browser's


def asked(tables: Tables, hosts: list[str], scheme: str = "http", port: str = "") -> dict[str, str]:
    """Return the letter of the answer that both engines give."""
    letters = {word: letter for letter, word in WORDS.items()}
    text = pac_text(tables, [ProxyServer("PROXY", "10.8.0.1", 8080)])
    return {host: letters[answer] for host, answer in answers(text, hosts, scheme, port).items()}


def without_wide_networks(topology: Topology) -> Topology:
    """Return the topology without networks that hold all addresses: by these a name is known, too."""

    def narrow(rule: Rule) -> Rule:
        return dataclasses.replace(rule, networks=tuple(item for item in rule.networks if item.prefixlen))

    clients = []
    for client in topology.clients:
        rules = [rule for rule in map(narrow, client.policy.rules) if rule.domains or rule.networks or rule.lists]
        clients.append(dataclasses.replace(client, policy=Policy(tuple(rules), client.policy.default)))
    lists = tuple(
        dataclasses.replace(item, networks=tuple(network for network in item.networks if network.prefixlen))
        for item in topology.lists
    )
    return dataclasses.replace(topology, clients=tuple(clients), lists=lists)


@settings(max_examples=100)
@given(topologies)
def test_names_and_addresses_get_the_answer_of_the_policys_verdict(given_topology: Topology) -> None:
    wanted = without_wide_networks(given_topology)
    client = wanted.clients[0]
    wanted = dataclasses.replace(
        wanted, policies=(("family", client.policy),), pac=(Pac("family", policy="family", proxy="p"),)
    )
    web = compile_web(wanted, None)
    # No address of a name is in a listed network.
    addresses = {name: str(ip_address("203.0.113.1") + number) for number, name in enumerate(NAMES)}
    answered = {name: [address] for name, address in addresses.items()}
    literals = [address for address in ADDRESSES if address != METADATA]
    names = [name for name in NAMES if "." in name]
    expected = {name: oracle(wanted, client.name, addresses[name], answered) for name in names}
    expected |= {address: oracle(wanted, client.name, address, {}) for address in literals}
    letters = {host: {"direct": DIRECT, "block": BLOCKED}.get(egress, PROXY) for host, egress in expected.items()}
    assert asked(web.files[0].tables, [*names, *literals]) == letters


networks = st.lists(
    st.sampled_from(["8.8.8.0/24", "8.0.0.0/8", "10.1.0.0/16", "10.0.0.0/7", "2001:db8::/32"]), max_size=2
)
kinds = st.builds(
    lambda domains, nets: Kind(tuple(domains), tuple(map(ip_network, nets))),
    st.lists(st.sampled_from(NAMES), max_size=3),
    networks,
)
ports = st.lists(st.sampled_from([Ports(80, 80), Ports(443, 443), Ports(1, 100), Ports(8000, 65535)]), max_size=2)
rules = st.builds(
    lambda answer, kinds, ports, address, schedule: PacRule(answer, tuple(kinds), tuple(ports), address, schedule),
    st.sampled_from(ANSWERS),
    st.lists(kinds, max_size=2),
    ports,
    st.booleans(),
    st.booleans(),
)
HOSTS = [
    *(name for name in NAMES if "." in name),
    "8.8.8.8",
    "8.1.1.1",
    "9.9.9.9",
    "10.1.2.3",
    "10.9.9.9",
    "2001:db8::1",
]


def expected_answer(rules: list[PacRule], default: str, host: str, port: int) -> str:
    """Return the one verdict of all worlds that are possible for a browser, else the proxy."""
    worlds = itertools.product((False, True), repeat=len(rules))  # what is unknown of a rule holds, or does not
    verdicts = {verdict(rules, default, host, port, holding) for holding in worlds}
    return verdicts.pop() if len(verdicts) == 1 else PROXY


def verdict(rules: list[PacRule], default: str, host: str, port: int, holding: tuple[bool, ...]) -> str:
    literal = ip_address(host) if ":" in host or host[0].isdigit() else None
    special = literal is not None and any(literal in network for network in SPECIAL[literal.version])
    for rule, unknown in zip(rules, holding):
        held = [holds(kind, host, literal, special) for kind in rule.kinds]
        if special and (not rule.kinds or rule.address):
            continue
        if rule.ports and not any(part.first <= port <= part.last for part in rule.ports):
            continue
        if held and True not in held:
            continue
        if (unknown or not (rule.address or rule.schedule)) and all(unknown if one is None else one for one in held):
            return rule.answer
    return DIRECT if special else default


def holds(kind, host, literal, special):
    if literal is None:
        if any(f".{host}".endswith(f".{domain}") for domain in kind.domains):
            return True
        return None if kind.networks else False
    own = [network for network in kind.networks if network.version == literal.version]
    if special:
        inside = [net for net in own if any(net.subnet_of(parent) for parent in SPECIAL[literal.version])]
        return any(literal in network for network in inside)
    outside = [net for net in own if not any(net.subnet_of(parent) for parent in SPECIAL[literal.version])]
    if any(literal in network for network in outside):
        return True
    return None if kind.domains else False


@settings(max_examples=150)
@given(st.lists(rules, max_size=4), st.sampled_from(ANSWERS))
def test_unless_every_possible_verdict_is_the_same_the_proxy_is_asked(given_rules: list[PacRule], default: str) -> None:
    tables = compile_tables(given_rules, default, ("local",), SPECIAL)
    for scheme, written, port in (("http", "", 80), ("https", "", 443), ("http", ":8080", 8080)):
        expected = {host: expected_answer(given_rules, default, host, port) for host in HOSTS}
        assert asked(tables, HOSTS, scheme, written) == expected


def test_a_network_of_all_addresses_holds_names_too() -> None:
    both = Rule("us", networks=(ip_network("0.0.0.0/0"), ip_network("::/0")))
    one = Rule("direct", networks=(ip_network("0.0.0.0/0"),))

    def answer(*given_rules: Rule, default: str) -> dict[str, str]:
        policy = Policy((Rule("block", domains=("a.com",)), *given_rules), default)
        from ansible_collections.splitway.gateway.tests.unit.compiler.test_compile import topology

        wanted = dataclasses.replace(
            topology({}, {}), policies=(("all", policy),), pac=(Pac("all", policy="all", proxy="p"),)
        )
        return asked(compile_web(wanted, None).files[0].tables, ["a.com", "b.com", "10.0.0.1"])

    assert answer(both, default="direct") == {"a.com": BLOCKED, "b.com": PROXY, "10.0.0.1": DIRECT}
    assert answer(one, default="us") == {"a.com": BLOCKED, "b.com": PROXY, "10.0.0.1": DIRECT}  # by IPv6 it is `us`
    assert answer(one, default="direct")["b.com"] == DIRECT
