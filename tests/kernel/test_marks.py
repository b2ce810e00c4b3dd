# SPDX-License-Identifier: GPL-3.0-or-later
"""Classification, guard and NAT against the real kernel, in both backends: judged by real packets."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import random
import socket
import threading
import time
from typing import Optional

import pytest
from namespaces import NamespaceSystem, ReadOnlySystem, run_here, wait_for
from traffic import (
    BACKENDS,
    BLOCK,
    CLIENTS,
    DIRECT,
    EGRESSES,
    EU,
    MASK,
    US,
    Lab,
    bring,
    captured,
    forget,
    lab,
    learn,
    the_marks,
    the_sets,
)
from worlds import BASES, matcher, random_destination, random_world

from splitway.reconcile import marks, sets
from splitway.reconcile.base import REMOVE, ReconcileError
from splitway.state import Egress, FamilyMarks, MarkPolicy, MarkRule, Marks, mark_of

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)
ONE, TWO, NOBODY = CLIENTS[4]
ONE6, TWO6, NOBODY6 = CLIENTS[6]


def planned(system: NamespaceSystem, backend: str, section: Optional[Marks]) -> list[str]:
    return [f"{change.action} {change.what}" for change in marks.plan(section, marks.read(system, section, backend))]


def test_each_client_takes_the_way_of_its_policy(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    bring(system, backend, the_sets(), the_marks(backend))
    learn(backend, "sw4d1", "192.0.2.1")
    learn(backend, "sw4d2", "192.0.2.1", "192.0.2.2", "198.51.100.2")
    learn(backend, "sw6d1", "2001:db8:9::1")
    learn(backend, "sw6d2", "2001:db8:9::1", "2001:db8:9::2", "2001:db8:1::2")
    ways = {
        (ONE, "192.0.2.1"): "wg-up-1",  # in both lists: the first rule wins
        (ONE, "192.0.2.2"): "wg-up-2",
        (ONE, "198.51.100.2"): "wg-up-1",  # static in the first, learned in the second
        (ONE, "203.0.113.7"): "wg-up-1",
        (ONE, "203.0.113.8"): "uplink",  # default direct
        (ONE, "10.77.0.9"): "uplink",  # special, no rule inside
        (ONE, "169.254.169.254"): "",
        (TWO, "192.0.2.1"): "wg-up-1",  # default us
        (TWO, "198.51.100.2"): "wg-up-2",
        (TWO, "10.77.0.9"): "wg-up-2",  # a network rule inside a special range
        (TWO, "10.78.0.9"): "uplink",
        (NOBODY, "203.0.113.8"): "",
        (ONE6, "2001:db8:9::1"): "wg-up-1",
        (ONE6, "2001:db8:9::2"): "wg-up-2",
        (ONE6, "2001:db8:1::2"): "wg-up-1",
        (ONE6, "2001:db8:5::1"): "uplink",
        (ONE6, "fd00:ec2::254"): "",
        (TWO6, "fd77::1"): "wg-up-2",
        (TWO6, "fd78::1"): "uplink",
        (TWO6, "2001:db8:9::1"): "wg-up-1",
        (NOBODY6, "2001:db8:5::1"): "",
    }
    assert {pair: lab.way(pair[1], pair[0]) for pair in ways} == ways
    assert planned(system, backend, the_marks(backend)) == []


def test_the_kernel_decides_as_an_independent_matcher_does(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Random policies, each brought in over the one before it: first match, special ranges, moves and removals."""
    rnd = random.Random(20261122)
    decided = set()
    for _ in range(12):
        wanted, section, contents = random_world(rnd, backend)
        bring(system, backend, wanted, section)
        assert planned(system, backend, section) == []
        assert sets.plan(wanted, sets.read(system, wanted, backend)) == ()
        for name, addresses in contents.items():
            if name[3] == "d":  # what is in the kernel counts: a set that stays keeps its addresses
                learn(backend, name, *(address.split("/")[0] for address in addresses))
        for name, members in sets.members(system, backend).items():
            contents[name] = sorted(members)
        pairs = [
            (client, random_destination(rnd, family, base))
            for family in (4, 6)
            for client in CLIENTS[family]
            for base in BASES[family]
            for _ in range(4)
        ]
        expected = [matcher(section, contents, client, destination) for client, destination in pairs]
        passed = [None if number in (None, BLOCK) else mark_of(number or 0, MASK) for number in expected]
        assert dict(zip(pairs, lab.marks(system, pairs))) == dict(zip(pairs, passed))
        decided.update(expected)
        run_here("conntrack", "-F")
    assert decided == {None, DIRECT, BLOCK, US, EU}  # else the test would have proven little


def test_300_policies_each_reach_their_own_chain(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    numbers = range(1, 8191, 27)
    chosen = tuple(MarkPolicy(number, "", (), (DIRECT, US, EU)[number % 3]) for number in numbers)
    section = the_marks(backend)
    for number in (numbers[0], numbers[17], numbers[150], numbers[-1]):
        v4 = FamilyMarks({ONE: number}, chosen, "sw4s")
        section = dataclasses.replace(section, v4=v4)
        bring(system, backend, the_sets(), section)
        assert lab.marks(system, [(ONE, "192.0.2.1")]) == [mark_of((DIRECT, US, EU)[number % 3], MASK)]
    assert planned(system, backend, section) == []


def test_foreign_bits_of_marks_are_kept(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    bring(system, backend, the_sets(), the_marks(backend))
    run_here("nft", "add table inet stranger")
    run_here("nft", "add chain inet stranger before { type filter hook prerouting priority -170; }")
    run_here("nft", "add rule inet stranger before iifname wg0 meta mark set 0xabcd0000 ct mark set 0x12340000")
    run_here("nft", "add chain inet stranger after { type filter hook forward priority 0; }")
    run_here("nft", "add counter inet stranger kept")
    run_here("nft", f"add rule inet stranger after meta mark {0xABCD0000 | mark_of(US, MASK):#x} counter name kept")
    assert lab.marks(system, [(TWO, "192.0.2.1")]) == [0x12340000 | mark_of(US, MASK)]
    assert "packets 1 " in run_here("nft", "list", "counter", "inet", "stranger", "kept")


def test_a_mark_that_somebody_left_does_not_classify(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Egress bits or a policy's number in the marks, without the classified bit, lead nowhere."""
    bring(system, backend, the_sets(), the_marks(backend))
    run_here("nft", "add table inet stranger")
    run_here("nft", "add chain inet stranger before { type filter hook prerouting priority -170; }")
    run_here("nft", "add rule inet stranger before iifname wg0 meta mark set 0x2 ct mark set 0x1")
    assert lab.marks(system, [(NOBODY, "192.0.2.1"), (NOBODY6, "2001:db8::1")]) == [None, None]
    if backend == "ipset":
        run_here("ipset", "add", "sw4c", NOBODY, "skbmark", f"{mark_of(US, MASK):#x}/{MASK:#x}")
        assert lab.marks(system, [(NOBODY, "192.0.2.1")]) == [None]
    assert lab.marks(system, [(TWO, "192.0.2.1")]) == [mark_of(US, MASK)]


def test_an_established_flow_keeps_its_way_when_the_address_expires(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    bring(system, backend, the_sets(), the_marks(backend))
    learn(backend, "sw4d1", "192.0.2.1")
    with contextlib.closing(lab.open("192.0.2.1")) as connection:
        assert connection.recv(100) == b"wg-up-1"
        forget(backend, "sw4d1", "192.0.2.1")
        connection.sendall(b"still there")
        assert connection.recv(100) == b"still there"
    assert lab.way("192.0.2.1") == "uplink"


@pytest.mark.parametrize("broken", ["rules", "ruleset", "both tunnels", "tunnel route", "chains"])
def test_nothing_leaks_whatever_a_stranger_removes(
    system: NamespaceSystem, lab: Lab, backend: str, broken: str
) -> None:
    bring(system, backend, the_sets(), the_marks(backend))
    assert lab.way("192.0.2.1", TWO) == "wg-up-1"
    connection = lab.open("192.0.2.2", TWO)
    assert connection.recv(100) == b"wg-up-1"
    if broken == "rules":
        for family in ("-4", "-6"):
            for _ in range(5):
                with contextlib.suppress(AssertionError):
                    run_here("ip", family, "rule", "flush")
            with contextlib.suppress(AssertionError):
                run_here("ip", family, "rule", "add", "pref", "32766", "lookup", "main")
            with contextlib.suppress(AssertionError):
                run_here("ip", family, "rule", "add", "pref", "0", "lookup", "local")
    elif broken == "ruleset":
        run_here("nft", "flush", "ruleset")
    elif broken == "both tunnels":
        run_here("ip", "link", "delete", "wg-up-1")
        run_here("ip", "link", "delete", "wg-up-2")
    elif broken == "tunnel route":
        run_here("ip", "route", "flush", "table", str(US))
        run_here("ip", "-6", "route", "flush", "table", str(US))
    elif backend == "ipset":
        for program in ("iptables", "ip6tables"):
            run_here(program, "-t", "mangle", "-F", "SPLITWAY")
    else:
        run_here("nft", "flush chain inet splitway classify")
    with captured(lab.exits["uplink"], "uplink") as packets:
        assert lab.way("192.0.2.1", TWO, 0.3) in ("", "wg-up-1")
        assert lab.way("2001:db8::1", TWO6, 0.3) in ("", "wg-up-1")
        with contextlib.suppress(OSError):
            connection.sendall(b"the rest of a flow")
        lab.send([(TWO, "192.0.2.3"), (TWO6, "2001:db8::3")])
    connection.close()
    assert packets == []
    if broken in ("ruleset", "chains"):
        bring(system, backend, the_sets(), the_marks(backend))
        assert lab.way("192.0.2.1", TWO) == "wg-up-1"


def test_no_packet_of_a_client_goes_astray_while_rules_change(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """The second client must never use the uplink, in whatever order its policy and its number change."""
    first = the_marks(backend)
    always = MarkPolicy(3, "", (), US)
    direct = MarkPolicy(2, "", (), DIRECT)  # what was the second client's policy becomes another's
    states = [
        dataclasses.replace(
            first,
            v4=dataclasses.replace(first.v4, clients=v4, policies=chosen),
            v6=dataclasses.replace(first.v6, clients=v6, policies=chosen),
        )
        for v4, v6, chosen in (
            ({ONE: 2, TWO: 3}, {ONE6: 2, TWO6: 3}, (direct, always)),
            (
                {ONE: 3, TWO: 2},
                {ONE6: 3, TWO6: 2},
                (dataclasses.replace(always, number=2), dataclasses.replace(direct, number=3)),
            ),
            ({TWO: 1}, {TWO6: 1}, (dataclasses.replace(always, number=1),)),
        )
    ]
    ended = threading.Event()
    sent: list[int] = []

    def send() -> None:
        while not ended.is_set():
            sent.extend(lab.send([(TWO, "192.0.2.1"), (TWO6, "2001:db8:9::1")]))

    sender = threading.Thread(target=send)
    with captured(lab.exits["uplink"], "uplink") as leaked, captured(lab.exits["wg-up-1"], "wg-up-1") as arrived:
        sender.start()
        try:
            for section in (*states, *states, None, *states):
                # The uplink's tunnel stays; only classification changes, from nothing and back, too.
                bring(system, backend, the_sets(), section)
                if section is not None:
                    seen = len(sent)
                    wait_for(lambda seen=seen: len(sent) > seen + 20, "packets under these rules")
        finally:
            ended.set()
            sender.join()
    assert leaked == []
    assert len(arrived) > 100


def test_an_exit_begins_no_conversation(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Neither with a client, nor with what is behind the gateway, nor with the gateway itself."""
    exit_ = lab.exits["wg-up-1"]
    for network in ("10.8.0.0/16", "10.90.0.0/24"):
        exit_.run("ip", "route", "add", network, "via", "10.91.0.1")
    listener = socket.create_server(("10.91.0.1", 443))

    def arrivals() -> tuple[int, int, bool]:
        with captured(lab.client, "wg0") as client, captured(lab.exits["uplink"], "uplink") as uplink:
            for destination in (ONE, "10.90.0.2"):
                lab.send_from(exit_, destination)
        return len(client), len(uplink), lab.reaches(exit_, "10.91.0.1", 443)

    assert arrivals() == (1, 1, True)  # else the rest would prove nothing
    bring(system, backend, the_sets(), the_marks(backend))
    assert arrivals() == (0, 0, False)
    listener.close()


def test_a_reply_that_finds_no_way_to_its_client_stays(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Without wg0's addresses the default route is all that is left: back where it came from."""
    bring(system, backend, the_sets(), the_marks(backend))
    connection = lab.open("192.0.2.1")
    assert connection.recv(100) == b"uplink"
    run_here("ip", "address", "flush", "dev", "wg0")
    with captured(lab.exits["uplink"], "uplink") as packets:
        connection.sendall(b"anybody there?")  # the exit repeats it
    assert [packet for packet in packets if packet[16:20] == ipaddress.ip_address(ONE).packed] == []


def test_replies_pass_source_validation(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """The guard rule meets the reverse look-up of a reply, too: rp_filter would drop all of them."""
    for key, value in (("all/src_valid_mark", "1"), ("wg-up-1/rp_filter", "2"), ("uplink/rp_filter", "2")):
        system.set_sysctl(f"net/ipv4/conf/{key}", value)
    bring(system, backend, the_sets(), the_marks(backend))
    assert lab.way("192.0.2.1", TWO) == "wg-up-1"
    assert lab.way("192.0.2.1", ONE) == "uplink"


def test_nat_is_masquerading_unless_told_otherwise(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    def sources() -> list[str]:
        seen = []
        for name, client in (("wg-up-1", TWO), ("uplink", ONE)):
            with captured(lab.exits[name], name) as packets:
                lab.send([(client, "192.0.2.1")])
            seen += [str(ipaddress.ip_address(packet[12:16])) for packet in packets]
            run_here("conntrack", "-F")
        return seen

    def bring_with_plain(number: int) -> None:
        egresses = tuple(dataclasses.replace(egress, nat=egress.number != number) for egress in EGRESSES)
        bring(system, backend, the_sets(), dataclasses.replace(the_marks(backend), egresses=egresses))

    bring(system, backend, the_sets(), the_marks(backend))
    assert sources() == ["10.91.0.1", "10.90.0.1"]
    bring_with_plain(DIRECT)
    assert sources() == ["10.91.0.1", ONE]
    bring_with_plain(US)
    assert sources() == [TWO, "10.90.0.1"]


def drifts(backend: str) -> list[tuple[str, ...]]:
    if backend == "nftables":
        return [
            ("nft", "flush chain inet splitway policy4_1"),
            ("nft", "insert rule inet splitway policy4_1 accept"),
            ("nft", "add rule inet splitway from_clients accept"),
            ("nft", "flush chain inet splitway prerouting"),
            ("nft", "flush map inet splitway clients4"),
            ("nft", f"add element inet splitway clients4 {{ {NOBODY} : goto policy4_1 }}"),
            ("nft", f"delete element inet splitway clients6 {{ {ONE6} }}"),
            ("nft", "flush chain inet splitway forward; delete chain inet splitway forward"),
            ("nft", "add chain inet splitway extra"),
            ("nft", "delete table inet splitway"),
        ]
    return [
        ("iptables", "-t", "mangle", "-F", "SPLITWAY-POLICY-1"),
        ("iptables", "-t", "mangle", "-I", "SPLITWAY-POLICY-1", "-j", "RETURN"),
        ("iptables", "-t", "mangle", "-D", "SPLITWAY-POLICY-1", "2"),
        ("ip6tables", "-t", "mangle", "-R", "SPLITWAY", "3", "-j", "RETURN"),
        ("iptables", "-t", "mangle", "-D", "PREROUTING", "1"),
        ("iptables", "-t", "mangle", "-A", "PREROUTING", "-i", "wg9", "-j", "SPLITWAY"),
        ("iptables", "-t", "mangle", "-I", "FORWARD", "-j", "ACCEPT"),
        ("ip6tables", "-t", "nat", "-F", "POSTROUTING"),
        ("iptables", "-t", "mangle", "-N", "SPLITWAY-OLD"),
        ("iptables", "-t", "nat", "-F"),
        ("ipset", "flush", "sw4c"),
        ("ipset", "add", "sw4c", NOBODY, "skbmark", "0x1/0x3fff"),
        ("ipset", "-exist", "add", "sw4c", ONE, "skbmark", "0x2065/0x3fff"),
        ("ipset", "-exist", "add", "sw4c", ONE, "skbmark", "0x1/0x1"),
        ("ipset", "del", "sw6c", ONE6),
        ("nft", "flush", "ruleset"),
    ]


def test_each_drift_is_seen_and_repaired(
    system: NamespaceSystem, read_only: ReadOnlySystem, lab: Lab, backend: str
) -> None:
    section = the_marks(backend)
    bring(system, backend, the_sets(), section)
    for command in drifts(backend):
        run_here(*command)
        assert planned(read_only, backend, section), command
        bring(system, backend, the_sets(), section)
        assert planned(system, backend, section) == [], command
    assert lab.marks(system, [(ONE, "198.51.100.1"), (TWO, "198.51.100.1"), (NOBODY, "198.51.100.1")]) == [
        mark_of(US, MASK),
        mark_of(EU, MASK),
        None,
    ]


def test_changes_are_proportional(system: NamespaceSystem, backend: str) -> None:
    section = the_marks(backend)
    bring(system, backend, the_sets(), section)
    moved = dataclasses.replace(section.v4, clients={**section.v4.clients, ONE: 2})
    section = dataclasses.replace(section, v4=moved)
    assert planned(system, backend, section) == [f"change clients {ONE} (v4) ({backend})"]
    bring(system, backend, the_sets(), section)
    first, second = section.v4.policies
    changed = dataclasses.replace(section.v4, policies=(dataclasses.replace(first, default=EU), second))
    chain = "mangle SPLITWAY-POLICY-1 (v4)" if backend == "ipset" else "splitway policy4_1"
    assert planned(system, backend, dataclasses.replace(section, v4=changed)) == [f"change chain {chain} ({backend})"]
    fewer = dataclasses.replace(section.v4, clients={TWO: 2})
    assert planned(system, backend, dataclasses.replace(section, v4=fewer)) == [
        f"remove clients {ONE} (v4) ({backend})"
    ]


FOREIGN = (
    "iptables -N DOCKER-USER",
    "iptables -A FORWARD -j DOCKER-USER",
    "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE",
    "iptables -t mangle -A FORWARD -p udp -j ACCEPT",
    "iptables -t mangle -N SPLITWAYS",
    "ip6tables -t mangle -A PREROUTING -p tcp -j ACCEPT",
    "ipset create swarm hash:ip",
    "ipset create sw4x hash:ip",
    "nft add table inet filter",
    "nft add chain inet filter mine { type filter hook forward priority 0; }",
)


def everything() -> str:
    rules = run_here("iptables-save") + run_here("ip6tables-save")
    # Tables and built-in chains come with the first use of iptables-nft, and stay.
    kept = [line for line in rules.splitlines() if line.startswith("-A") or (line.startswith(":") and " - " in line)]
    return "\n".join(kept) + "\n" + run_here("ipset", "list", "-n") + run_here("nft", "list", "table", "inet", "filter")


def test_what_is_not_ours_stays_and_nothing_of_ours_does(system: NamespaceSystem, backend: str) -> None:
    for command in FOREIGN:
        run_here(*command.split(" ", 9 if "add chain" in command else -1))
    before = everything()
    bring(system, backend, the_sets(), the_marks(backend))
    assert set(before.splitlines()) <= set(everything().splitlines())
    bring(system, backend, (), None)
    assert everything() == before
    assert "splitway" not in run_here("nft", "list", "tables")
    assert planned(system, backend, None) == []


def test_the_backend_of_a_live_host_is_switched(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    other = BACKENDS[1 - BACKENDS.index(backend)]
    bring(system, other, the_sets(), the_marks(other))
    learn(other, "sw4d1", "192.0.2.7", timeout=300)
    with contextlib.closing(lab.open("192.0.2.1", TWO)) as connection:
        assert connection.recv(100) == b"wg-up-1"
        with captured(lab.exits["uplink"], "uplink") as packets:
            changed = bring(system, backend, the_sets(), the_marks(backend))
            connection.sendall(b"on")
            assert connection.recv(100) == b"on"
        assert packets == []
    assert any(f"({other})" in line and line.startswith(REMOVE) for line in changed)
    assert planned(system, backend, the_marks(backend)) == []
    assert sets.plan(the_sets(), sets.read(system, the_sets(), backend)) == ()
    assert lab.way("198.51.100.1", TWO) == "wg-up-2"
    assert lab.way("2001:db8:1::1", ONE6) == "wg-up-1"
    assert lab.way("192.0.2.7", ONE) == "wg-up-1"  # learned by the other backend
    if backend == "ipset":
        assert "splitway" not in run_here("nft", "list", "tables")
    else:
        assert "SPLITWAY" not in run_here("iptables-save") + run_here("ip6tables-save")
        assert run_here("ipset", "list", "-n") == ""


def test_a_missing_set_is_a_clear_error(system: NamespaceSystem, backend: str) -> None:
    section = the_marks(backend)
    changes = marks.plan(section, marks.read(system, section, backend))
    with pytest.raises(ReconcileError, match=r"sw4[dnms]"):
        marks.apply(system, changes)


def test_a_mask_in_the_middle_of_the_mark(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    section = dataclasses.replace(the_marks(backend), mask=0x0FFF0000, egresses=(*EGRESSES, Egress(7, "x", "uplink")))
    v4 = FamilyMarks({ONE: 3}, (MarkPolicy(3, "", (MarkRule(("sw4n1",), 7),), 7),), "sw4s")
    bring(system, backend, the_sets(), dataclasses.replace(section, v4=v4))
    for family in ("-4", "-6"):
        run_here("ip", family, "rule", "delete", "pref", "5000")
    assert lab.marks(system, [(ONE, "198.51.100.1"), (NOBODY, "198.51.100.1")]) == [0x08070000, None]
    assert planned(system, backend, dataclasses.replace(section, v4=v4)) == []


def test_sizes(system: NamespaceSystem, backend: str) -> None:
    """5,000 clients and 200 policies of 10 rules: what it takes is printed, never asserted."""
    families = {}
    for family in (4, 6):
        rnd = random.Random(1)
        chosen = tuple(
            MarkPolicy(
                number,
                "",
                tuple(MarkRule((name,), rnd.choice((US, EU))) for name in (f"sw{family}d1", f"sw{family}n1") * 5),
                DIRECT,
                (MarkRule((f"sw{family}m",), BLOCK),),
            )
            for number in range(1, 201)
        )
        clients = {f"10.8.{i >> 8}.{i & 255}" if family == 4 else f"fdcc::{i:x}": 1 + i % 200 for i in range(256, 5256)}
        families[family] = FamilyMarks(clients, chosen, f"sw{family}s")
    section = dataclasses.replace(the_marks(backend), v4=families[4], v6=families[6])
    bring(system, backend, the_sets(), None)
    for what in ("from nothing", "unchanged", "one client moved"):
        if what == "one client moved":
            section.v4.clients["10.8.1.0"] = 7
        start = time.monotonic()
        changes = marks.plan(section, marks.read(system, section, backend))
        marks.apply(system, changes)
        print(
            f"{backend}: 5,000 clients, 200 policies, {what}: {len(changes)} changes, {time.monotonic() - start:.3f} s"
        )
        assert len(changes) == (1 if "moved" in what else 0) or what == "from nothing"
