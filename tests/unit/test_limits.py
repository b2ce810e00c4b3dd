# SPDX-License-Identifier: GPL-3.0-or-later
"""At each limit and one beyond it: an error that names the entry, or a way of working. The table is docs/limits.md."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import logging
import random
import re
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Optional

import pytest

from splitway.agent import control
from splitway.agent.figures import access, flow_table
from splitway.agent.figures.access import AccessLog
from splitway.agent.figures.snapshot import from_plain, to_plain
from splitway.agent.names import journal as journal_file
from splitway.agent.names import learned, warm
from splitway.agent.names.journal import Journal, Pair
from splitway.agent.names.learning import Learning
from splitway.agent.names.question import Reply
from splitway.agent.names.resolver import Item, Resolver, Take
from splitway.compiler import CompileError, compile_state
from splitway.compiler.networks import MOST_IN_NFTABLES, check_sizes
from splitway.compiler.policies import MAXIMUM_SETS
from splitway.reconcile import sets
from splitway.reconcile.agent.text import agent_text, places, rotation_text
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.dns.text import names_text, options_text
from splitway.reconcile.marks import iptables, nftables
from splitway.reconcile.proxies.daemons import Paths, daemons
from splitway.reconcile.sets.model import LEARNED_SIZE, Current
from splitway.sealed import parts_of, sealed
from splitway.services import Ports
from splitway.state import STATIC_SIZE, AddressSet, Agent, Dns, FamilyMarks, MarkPolicy, MarkRule, Marks, State
from splitway.store import Store
from splitway.system import System, SystemFailure
from splitway.topology import TopologyError, parse
from splitway.topology.clients import MOST_CLIENTS

sys.path.insert(0, str(Path(__file__).parent / "agent"))
from snapshots import snapshot

BACKENDS = ("ipset", "nftables")
SERVER = {"addresses": ["10.8.0.1/14", "fdcc::1/64"]}
KEY = "MmM5OTkwMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc="
LONGEST_SET, LONGEST_CHAIN, LONGEST_COMMENT = 31, 28, 127  # characters that ipset, iptables and nft take


def compiled(variables: Mapping[str, Any], numbers: Optional[Mapping[str, int]] = None) -> State:
    return compile_state(parse({"splitway_server": SERVER, **variables}), numbers or {})


def refusal(variables: Mapping[str, Any], numbers: Optional[Mapping[str, int]] = None) -> str:
    with pytest.raises((TopologyError, CompileError)) as caught:
        compiled(variables, numbers)
    return str(caught.value)


def upstreams(count: int, prefix: str = "up") -> list[dict[str, Any]]:
    same = {"endpoint": "198.51.100.1:51820", "public_key": KEY, "addresses": ["172.20.0.2/32"]}
    return [{"name": f"{prefix}{number}", **same} for number in range(count)]


def clients(count: int, **settings: Any) -> list[dict[str, Any]]:
    first = int(ipaddress.ip_address("10.8.0.2"))
    return [
        {"name": f"c{number}", "addresses": [str(ipaddress.ip_address(first + number))], **settings}
        for number in range(count)
    ]


def with_rules_of_their_own(count: int, word: str) -> list[dict[str, Any]]:
    return [
        {**client, "rules": [{"domain": f"{word}{number}.example", "egress": "direct"}]}
        for number, client in enumerate(clients(count))
    ]


@pytest.mark.parametrize(
    ("mask", "base", "most"),
    [(0x3FFF, 100, 8088), (0xF, 1, 6), (0x7F000000, 1, 62), (0xFF0, 300, 0)],
)
def test_upstreams_under_the_mask(mask: int, base: int, most: int) -> None:
    """Each has a number of its own below the mask's highest bit; the kernel's tables 253 to 255 are passed over."""
    numbers = {"splitway_mark_mask": mask, "splitway_table_base": base}
    assert "splitway_table_base: " in refusal({**numbers, "splitway_upstreams": upstreams(most + 1)})
    if most:
        state = compiled({**numbers, "splitway_upstreams": upstreams(most)})
        tables = {table.number for table in state.routes.tables}
        assert len(tables) == most + 1
        assert not tables & {0, 253, 254, 255}
        assert max(len(device.interface) for device in state.upstreams) <= 15


def test_five_priorities_whatever_the_number_of_egresses() -> None:
    """All before Tailscale's and wg-quick's; the last ones allowed are before the kernel's own, too."""
    policies = {f"p{number}": {"default": f"up{number}"} for number in range(100)}
    used = [{**client, "policy": f"p{number}"} for number, client in enumerate(clients(100))]
    many = {"splitway_upstreams": upstreams(100), "splitway_policies": policies, "splitway_clients": used}
    rules = compiled(many).routes.rules
    assert len(rules) > 200
    assert {rule.priority for rule in rules} == {5000, 5010, 5020, 5030, 5040}
    last = compiled({**many, "splitway_rule_priority": 32720}).routes.rules
    assert max(rule.priority for rule in last) < 32764
    assert refusal({**many, "splitway_rule_priority": 32721}).startswith("splitway_rule_priority: 32721 is not")


def test_a_groups_members_and_fallbacks_take_numbers_too() -> None:
    small = {"splitway_mark_mask": 0xF, "splitway_table_base": 1, "splitway_upstreams": upstreams(3)}
    group = {"name": "both", "members": ["up0", "up1"]}
    assert len(compiled({**small, "splitway_upstream_groups": [group]}).routes.tables) == 7
    more = {**group, "members": ["up0", "up1", "up2"]}
    message = refusal({**small, "splitway_upstream_groups": [more]})
    assert "3 upstreams and 4 numbers of groups, members and fallbacks need the numbers up to 8" in message


def test_numbers_that_are_still_held_are_said_to_be() -> None:
    """What goes keeps its number until the run has removed it: to replace nearly all of it takes two runs."""
    small = {"splitway_mark_mask": 0xF, "splitway_table_base": 1}
    before = compiled({**small, "splitway_upstreams": upstreams(5)})
    others = {**small, "splitway_upstreams": upstreams(5, "other")}
    message = refusal(others, before.numbers)
    assert message.startswith("splitway_upstreams: 5 upstreams do not fit")
    assert "5 numbers are still those of what is no longer there: remove first, add in a run after that" in message
    between = compiled(small, before.numbers)
    assert len(compiled(others, between.numbers).upstreams) == 5


@pytest.mark.parametrize(("mask", "most"), [(0x3FFF, 8191), (0xFF, 127), (0xF, 7)])
def test_distinct_policies_under_the_mask(mask: int, most: int) -> None:
    numbers = {"splitway_mark_mask": mask, "splitway_table_base": 1}
    state = compiled({**numbers, "splitway_clients": with_rules_of_their_own(most, "d")})
    assert state.marks is not None
    assert [policy.number for policy in state.marks.v4.policies] == list(range(1, most + 1))
    message = refusal({**numbers, "splitway_clients": with_rules_of_their_own(most + 1, "d")})
    assert message.startswith(
        f"splitway_mark_mask: {most + 1} distinct policies do not fit into {mask:#x}, which holds"
    )
    shared = {"splitway_policies": {"all": {"default": "block"}}, "splitway_clients": clients(most + 1, policy="all")}
    assert len(compiled({**numbers, **shared}).marks.v4.policies) == 1  # type: ignore[union-attr]


def test_lists() -> None:
    def of(count: int) -> dict[str, Any]:
        rules = [{"list": f"l{number}", "egress": "direct"} for number in range(count)]
        return {
            "splitway_lists": {f"l{number}": {"domains": [f"d{number}.example"]} for number in range(count)},
            "splitway_policies": {"all": {"rules": rules}},
            "splitway_clients": clients(1, policy="all"),
        }

    state = compiled(of(MAXIMUM_SETS))
    assert len(state.sets) == 2 * MAXIMUM_SETS + 4
    assert max(len(f"{item.name}t") for item in state.sets) <= LONGEST_SET
    assert 6 * MAXIMUM_SETS + 6 <= 65472, "ipsets on a host"
    assert refusal(of(MAXIMUM_SETS + 1)).startswith(f"splitway_lists: {MAXIMUM_SETS + 1} are in use")
    others = with_rules_of_their_own(2, "d")
    assert "still those of what is no longer there" in refusal({"splitway_clients": others}, state.numbers)


def test_networks_of_a_list() -> None:
    full = AddressSet("sw4n1_abcdef", 4, None, ("192.0.2.0/24",) * STATIC_SIZE, comment="list big")
    check_sizes([full], "ipset")
    more = dataclasses.replace(full, members=(*full.members, "198.51.100.0/24"))
    with pytest.raises(CompileError, match=r"^splitway_lists: list big has 1048577 IPv4 networks, a set takes 1048576"):
        check_sizes([more], "ipset")


def test_networks_in_nftables() -> None:
    """Beyond these nft takes too long to list them."""
    half = AddressSet("sw4n1_abcdef", 4, None, ("192.0.2.0/24",) * (MOST_IN_NFTABLES // 2))
    check_sizes([half, half], "nftables")
    more = [half, half, AddressSet("sw6n1_abcdef", 6, None, ("2001:db8::/32",))]
    with pytest.raises(CompileError, match=r"^splitway_backend: the lists in use have 400001 networks"):
        check_sizes(more, "nftables")
    check_sizes(more, "ipset")


def test_clients_of_a_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_CLIENTS == 65536, "peers that wireguard-go takes: with one more it says 'Invalid argument', half done"
    monkeypatch.setattr("splitway.topology.clients.MOST_CLIENTS", 200)
    assert parse({"splitway_server": SERVER, "splitway_clients": clients(200)})
    off = {"name": "off", "addresses": ["10.9.0.1"], "enabled": False}
    assert parse({"splitway_server": SERVER, "splitway_clients": [*clients(200), off]})
    assert refusal({"splitway_clients": clients(201)}) == "splitway_clients: 201 are enabled, a gateway takes 200"


def test_addresses_of_the_clients_network() -> None:
    """A /24 has 253 for clients; the next one is told by its path."""
    small = {"splitway_server": {"addresses": ["10.8.0.1/24"]}}
    assert parse({**small, "splitway_clients": clients(253)})
    for number, problem in ((254, "is the broadcast address of 10.8.0.0/24"), (255, "is in no network of")):
        message = refusal({**small, "splitway_clients": clients(number)})
        assert f'splitway_clients[{number - 1}].addresses[0]: "10.8.' in message
        assert problem in message


def test_a_key_and_an_address_are_one_clients() -> None:
    twice = [{"name": name, "addresses": ["10.8.0.2"], "public_key": KEY} for name in ("alice", "bob")]
    message = refusal({"splitway_clients": twice})
    assert 'splitway_clients[1].addresses[0]: "10.8.0.2" is already an address of splitway_clients[0]' in message
    assert "splitway_clients[1].public_key: is already the key of splitway_clients[0]" in message


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_longest_names_in_very_many_lists(backend: str) -> None:
    """A line never exceeds what dnsmasq reads, and each list still matches the name: by a set of their own."""
    name = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}"
    assert len(name) == 253
    lists = {f"l{number}": {"domains": [name, f"only{number}.example"]} for number in range(500)}
    rules = [{"list": key, "egress": "block"} for key in lists]
    variables = {
        "splitway_lists": lists,
        "splitway_policies": {"all": {"rules": rules}},
        "splitway_clients": clients(1, policy="all"),
        "splitway_backend": backend,
    }
    state = compiled(variables)
    assert state.dns is not None
    assert state.marks is not None
    names_text(state.dns)  # raises for a line that is too long
    filled = learned.Names(state.dns.lines).sets_of(name, "192.0.2.1")
    rules_of = state.marks.v4.policies[0].rules
    assert len(rules_of) == 500
    assert all(set(filled) & set(rule.sets) for rule in rules_of)
    longer = {"splitway_lists": {"l": {"domains": [f"{name}a"]}}}
    assert refusal(longer).endswith("is not a domain name: it has more than 253 characters")


@pytest.mark.parametrize("mask", [0x3FFF, 0xFFFFFFFF, 0xFFFF0000, 0xF0000000])
def test_names_in_the_kernel_fit_whatever_the_mask(mask: int) -> None:
    rnd = random.Random(7)
    most = (mask // (mask & -mask)) >> 1
    numbers = {most, *(rnd.randint(1, most) for _ in range(300))}
    policies = tuple(MarkPolicy(number, "p", (MarkRule(("sw4d9999",), most),), most) for number in sorted(numbers))
    family = FamilyMarks({}, policies, "sw4s_abcdef")
    marks = Marks("wg0", "wg-up-", mask, (), family, FamilyMarks(), {"sw4s_abcdef": ("10.0.0.0/8",)})
    chains = iptables.render(marks).chains
    assert max(len(place.chain) for place in chains) <= LONGEST_CHAIN
    found = nftables.render(marks).chains
    assert max(len(place.chain) for place in found) <= LONGEST_COMMENT
    assert max(len(line.key) for place, lines in found.items() for line in lines if "hook" not in line.text) <= 12


def test_special_rules_of_very_many_policies_have_chains_of_their_own() -> None:
    """Their names are digests: with too few digits two of them are one, and a client has another's rules."""
    policies = tuple(MarkPolicy(n, "p", (), 0, (MarkRule((f"sw4p{n}",), 0),)) for n in range(1, 8192))
    marks = Marks("wg0", "wg-up-", 0x3FFF, (), FamilyMarks({}, policies, "sw4s"), FamilyMarks())
    named = {place.chain for place in iptables.render(marks).chains if "SPECIAL" in place.chain}
    assert len(named) == len(policies)
    assert {len(name) for name in named} == {LONGEST_CHAIN}


def test_a_rule_costs_as_many_lines_as_it_has_values() -> None:
    """Not as many as there are combinations of them: 100 lists in 200 countries at 300 ports are six million."""
    groups = (tuple(f"sw4d{n}" for n in range(100)), tuple(f"sw4g{n}" for n in range(200)))
    ports = tuple(Ports(port, port) for port in range(1, 600, 2))
    rule = MarkRule(groups[0], 101, groups[1:], ("tcp", "udp"), ports)
    policies = tuple(MarkPolicy(number, "p", (rule,), 0) for number in (1, 2))
    marks = Marks("wg0", "wg-up-", 0x3FFF, (), FamilyMarks({}, policies, "sw4s"), FamilyMarks())
    bare = dataclasses.replace(marks, v4=FamilyMarks({}, tuple(MarkPolicy(n, "p", (), 0) for n in (1, 2)), "sw4s"))
    for render in (iptables.render, nftables.render):
        lines, others = (sum(map(len, render(entry).chains.values())) for entry in (marks, bare))
        assert lines - others < 100 + 200 + 2 * 45  # the lists and countries once, the ports in both policies


def test_dnsmasqs_own_limits_are_set() -> None:
    text = options_text(Dns("wg0", (), (), cache_size=1_000_000), None)
    assert "dns-forward-max=2000\n" in text
    assert "cache-size=1000000\n" in text
    assert refusal({"splitway_dns": {"cache_size": 1_000_001}}).startswith("splitway_dns.cache_size: 1000001 is not")


def test_retention_stays_below_an_ipsets_longest_time() -> None:
    state = compiled({"splitway_retention": 2_000_000, "splitway_dns": {"max_ttl": 86400}})
    assert 2_000_000 + 86400 < 2_147_483
    assert state.agent is not None
    assert refusal({"splitway_retention": 2_000_001}).startswith("splitway_retention: 2000001 is out of range")


class Quiet:
    """A store of a host on which nothing is done."""

    system = System()


def test_a_full_set_is_logged_once_and_counted_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    learning = Learning(Quiet(), Journal(tmp_path / "journal.db"))  # type: ignore[arg-type]
    results = [{"sw4d1": 5}, {"sw4d1": 6}, {}, {"sw4d1": 2}]
    monkeypatch.setattr(learned, "refill", lambda *_, **__: learned.Refilled(refused=results.pop(0)))
    monkeypatch.setattr(learned, "end_flows", lambda *_: 0)
    monkeypatch.setattr(learned, "local_names", lambda _: frozenset())
    state = compiled({})
    with caplog.at_level(logging.ERROR, "splitway"):
        for _ in range(4):
            assert learning.refill(state) == 0
    assert learning.refused == {"sw4d1": 13}
    assert [message.partition(":")[0] for message in caplog.messages] == ["set sw4d1 is full"] * 2


def test_pairs_beyond_the_journals_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, and while the disk takes nothing the newest."""
    monkeypatch.setattr(journal_file, "_WAITING", 10)
    journal = Journal(tmp_path / "journal.db", limit=20)
    journal.write([Pair(f"192.0.2.{number}", "a.example", number) for number in range(25)], 0)
    assert sorted(pair.last for pair in journal.pairs()) == list(range(5, 25))
    assert journal.lost == 5
    journal.note("b.example", [f"192.0.2.{number}" for number in range(13)], 100)
    assert (len(journal.take()), journal.lost) == (10, 8)
    journal.close()


def test_a_flood_of_questions_is_counted(tmp_path: Path) -> None:
    log = AccessLog(System(log=tmp_path), 7)
    for number in range(access.MOST + 3):
        log.note("alice", f"{number}.example", "us", 0.0)
    assert log.dropped == 3


def test_the_state_grows_with_the_clients_and_is_read_back(tmp_path: Path) -> None:
    """A few hundred bytes each: 20,000 clients are a file of some megabytes, published in one piece."""
    state = compiled({"splitway_clients": clients(20_000, public_key=None, policy=None)})
    size = len(sealed(parts_of(state)))
    print(f"20,000 clients: {size / 1e6:.1f} MB")
    assert size < 500 * 20_000
    store = Store(System(tmp_path / "etc", tmp_path / "run", tmp_path / "log", tmp_path / "lib"))
    store.publish(state)
    assert store.generation() == state


def test_the_control_socket_answers_for_20000_clients(tmp_path: Path) -> None:
    system = System(runtime=tmp_path)
    many = snapshot(20_000)

    async def asked() -> Any:
        async def answer() -> Any:
            return to_plain(many)

        server = await control.serve(system, {"status": answer})
        async with server:
            return await asyncio.to_thread(control.ask, system, "status")

    began = time.monotonic()
    found = asyncio.run(asked())
    print(f"20,000 clients: {time.monotonic() - began:.1f} s")
    assert from_plain(found) == many


class Refusing(System):
    """A kernel that holds as many ipsets as it can."""

    def run(self, *argv: str, **_: Any) -> str:
        raise SystemFailure(
            f"{' '.join(argv)}: ipset v7.17: Error in line 2: Kernel error received: "
            "maximal number of sets reached, cannot create more."
        )


def test_a_host_that_holds_no_more_ipsets_is_named_with_the_set() -> None:
    wanted = (AddressSet("sw4d1", 4, 600), AddressSet("sw4d2", 4, 600))
    with pytest.raises(ReconcileError, match=r"ipset create sw4d2 .* maximal number of sets reached"):
        sets.apply(Refusing(), sets.plan(wanted, Current("ipset", {"ipset": {}, "nftables": {}})))


def test_the_agent_has_descriptors_for_each_upstreams_probes() -> None:
    text = agent_text(places(System()))
    most = int(text.partition("LimitNOFILE=")[2].split()[0])
    assert most > 8 * 8088


class Full(System):
    """A host whose table of flows is full."""

    def read_file(self, path: Path) -> Optional[str]:
        if path.name == "nf_conntrack":
            return "entries  clashres drop early_drop\n0000ffff  00000001 0000000a 000000ff\n0000ffff  0 00000010 0\n"
        return {"nf_conntrack_count": "262144\n", "nf_conntrack_max": "262144\n"}.get(path.name)


def test_what_the_flow_table_refused_is_read() -> None:
    assert flow_table.read(Full()) == flow_table.FlowTable(262144, 262144, 26)


class Asked(Resolver):
    """Nobody is asked; whom one would ask for what is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[tuple[str, int]] = []

    async def resolve(self, items: Iterable[Item], take: Take) -> None:
        for item in items:
            self.names.append((item.name, item.family))
            take(item, Reply())


def test_only_the_first_of_very_many_names_are_warmed_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert warm.MOST == 20_000
    monkeypatch.setattr(warm, "MOST", 3)
    lines = tuple(f"ipset=/n{number}.example/sw4d1,sw6d1" for number in range(10))
    state = State(dns=Dns("wg0", ("192.0.2.1",), lines), agent=Agent(""))

    async def run() -> list[tuple[str, int]]:
        system = System(configuration=tmp_path, data=tmp_path)
        learning, resolver = Learning(Store(system), Journal(tmp_path / "journal.db")), Asked()
        learning.configure(state)
        warm.Warming(system, learning, resolver).configure(state)
        await asyncio.sleep(0)
        learning.close()
        return resolver.names

    assert asyncio.run(run()) == [(f"n{number}.example", family) for number in range(3) for family in (4, 6)]


def test_more_names_than_can_be_tried_are_not_pinned() -> None:
    def pinned(count: int) -> dict[str, Any]:
        return {
            "splitway_lists": {"many": {"domains": [f"n{number}.example" for number in range(count)], "pin": True}},
            "splitway_clients": [
                {"name": "a", "addresses": ["10.8.0.2"], "rules": [{"list": "many", "egress": "direct"}]}
            ],
        }

    agent = compiled(pinned(1000)).agent
    assert agent is not None
    assert sum(len(part.names) for part in agent.resolving.pinned) == 1000
    assert refusal(pinned(1001)).startswith("splitway_lists: 1001 names are pinned (many), at most 1000 can be")


def test_logs_are_bounded() -> None:
    text = rotation_text(System())
    assert "maxsize 10M" in text
    assert "rotate 8" in text


def test_a_learned_set_holds_what_the_alert_waits_for() -> None:
    alerts = (Path(__file__).parents[2] / "monitoring" / "alerts.yaml").read_text()
    assert "splitway_set_entries > 250000" in alerts
    assert LEARNED_SIZE == 262144


def test_both_programs_have_the_files_of_a_proxy(tmp_path: Path) -> None:
    listen = {name: {"listen": ["127.0.0.1"], "port": port} for name, port in (("http", 8080), ("socks5", 1080))}
    proxy = {"name": "one", "policy": "all", **listen}
    state = compiled({"splitway_policies": {"all": {}}, "splitway_proxies": [proxy]})
    assert state.proxies is not None
    ports = {item.port.key: item.port.port for item in state.proxies.proxies[0].listeners}
    inner = state.proxies.proxies[0].inner
    assert inner is not None
    found = daemons(state.proxies, {**ports, inner.key: inner.port}, Paths(tmp_path, tmp_path / "run"), ())
    assert ["LimitNOFILE=16384" in daemon.text for daemon in found] == [True, True]
    assert "max_filedescriptors 16384" in found[0].files["squid.conf"]


def test_every_row_of_the_table_names_its_tests() -> None:
    root = Path(__file__).parents[2]
    rows = [line for line in (root / "docs" / "limits.md").read_text().splitlines() if line.startswith("| ")]
    tested = [row.split(" | ")[-1].rstrip(" |") for row in rows if not row.startswith("| limit ")]
    assert len(tested) > 30
    for cell in tested:
        short = {"unit": Path(__file__), "kernel": root / "tests" / "kernel" / "test_limits.py"}
        files = [short[word] for word in re.findall(r"(?<![/\w])(unit|kernel)(?![/\w])", cell)]
        files += [root / path for path in re.findall(r"tests/[\w/.]*\w", cell)]
        text = "".join(file.read_text() for file in files if file.is_file())
        assert files, cell
        assert all(file.exists() for file in files), cell
        assert all(
            re.search(rf"def test_\w*{word.removeprefix('test_')}", text) for word in re.findall(r"`(\w+)`", cell)
        ), cell
