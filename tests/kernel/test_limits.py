# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel and its tools do at and beyond their limits, and what we make of it. The table is docs/limits.md."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import os
import resource
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from namespaces import NamespaceSystem, Network, run_here, wait_for
from test_dns import ask, client
from test_journal import Gateway, gateway
from traffic import (
    BACKENDS,
    CLIENTS,
    DIRECT,
    EU,
    MASK,
    US,
    Lab,
    bring,
    captured,
    lab,
    the_marks,
    the_sets,
)

from splitway.agent.figures import flow_table
from splitway.agent.healing import watch
from splitway.agent.names import learned
from splitway.agent.names.answers import Answers
from splitway.agent.names.journal import Journal
from splitway.agent.sockets import BUFFER_FORCE
from splitway.compiler.names import LONGEST_LINE, line
from splitway.reconcile import dns, marks, sets, wireguard
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.dns.port import answers
from splitway.reconcile.dns.text import names_text
from splitway.state import (
    SECTIONS,
    STATIC_SIZE,
    AddressSet,
    Agent,
    Device,
    Dns,
    FamilyMarks,
    MarkPolicy,
    MarkRule,
    Peer,
    State,
    mark_of,
)

__all__ = ["client", "gateway", "lab"]
LISTED = "198.51.100.1"  # an address of a list of both policies of the tests
both = pytest.mark.parametrize("backend", BACKENDS)
ROOM = 3  # what the small sets of these tests hold


def small_set(backend: str, name: str) -> None:
    if backend == "ipset":
        run_here("ipset", "create", name, "hash:ip", "timeout", "600", "maxelem", str(ROOM))
    else:
        body = f"type ipv4_addr; flags timeout,dynamic; timeout 1200s; size {ROOM};"
        run_here("nft", f"add table inet splitway; add set inet splitway {name} {{ {body} }}")


@both
def test_a_full_set_refuses_its_own_new_addresses_and_nothing_else(
    system: NamespaceSystem, tmp_path: Path, backend: str
) -> None:
    """What is in it is refreshed, other sets fill, and how many were refused is known."""
    lines = tuple(line(f"list{number}.example", (number,), backend) for number in (1, 2))
    wanted = tuple(AddressSet(f"sw4d{number}", 4, 600) for number in (1, 2))
    state = State(backend, sets=wanted, dns=Dns("wg0", (), lines), agent=Agent("x", retention=600))
    for item in wanted:
        small_set(backend, item.name)
    journal, names = Journal(tmp_path / "journal.db"), learned.Names(lines)
    now = time.time()
    journal.note("list1.example", [f"192.0.2.{number}" for number in range(ROOM - 1)], now)
    assert learned.refresh(system, state, journal, names, now).refused == {}
    journal.note("list1.example", [f"192.0.2.{number}" for number in range(10, 15)], now)
    journal.note("list2.example", ["198.51.100.1"], now)
    done = learned.refresh(system, state, journal, names, now)
    assert (done.refused, done.added) == ({"sw4d1": 4}, {"sw4d1": 1, "sw4d2": 1})
    held = sets.members(system, backend)
    assert (len(held["sw4d1"]), held["sw4d2"]) == (ROOM, {"198.51.100.1"})

    again = learned.refill(system, state, journal, names, now + 1)
    assert (again.refused, again.added) == ({"sw4d1": 4}, {})
    for address in sorted(held["sw4d1"])[:2]:  # they expire
        sets.renew(system, backend, {}, {"sw4d1": [address]})
    last = learned.refill(system, state, journal, names, now + 2)
    assert (sum(last.refused.values()), last.added) == (4, {"sw4d1": 2})
    journal.close()


@pytest.mark.parametrize("backend", ["ipset"])
def test_what_dnsmasq_could_not_add_to_a_full_set_is_noticed(gateway: Gateway) -> None:
    """It says nothing itself, and the client has its answer."""
    small_set("ipset", "small")
    for number in range(ROOM):
        run_here("ipset", "add", "small", f"192.0.2.{number}")
    run_here("ipset", "swap", "small", "sw4d1")
    assert ask(gateway.client, "video.example") == ["198.51.100.1"]
    assert ask(gateway.client, "other.example") == ["198.51.100.4"]
    gateway.hear("video.example", "other.example")
    done = gateway.refresh()
    assert (done.refused, done.added) == ({"sw4d1": 1}, {"sw4d2": 1})
    run_here("ipset", "flush", "sw4d1")
    assert gateway.refill().added == {"sw4d1": 1}


@both
def test_what_a_full_set_holds_is_refreshed(system: NamespaceSystem, backend: str) -> None:
    small_set(backend, "sw4d1")
    held = {f"192.0.2.{number}": 100 for number in range(ROOM)}
    assert sets.renew(system, backend, {"sw4d1": held}, {}) == {}
    more = {"192.0.2.99": 300, **dict.fromkeys(held, 300)}
    assert sets.renew(system, backend, {"sw4d1": more}, {}) == {"sw4d1": 1}
    left = sets.read_learned(system, backend)["sw4d1"].remaining()
    assert left.keys() == held.keys()
    assert min(left.values()) >= 290


def test_a_static_set_takes_what_the_compiler_lets_through(system: NamespaceSystem) -> None:
    """1,048,576 networks; the kernel, which counts roughly, refuses some more: the error names set and network."""
    first = int(ipaddress.ip_address("16.0.0.0"))
    networks = tuple(f"{ipaddress.ip_address(first + 128 * number)}/26" for number in range(STATIC_SIZE * 21 // 20))
    full = (AddressSet("sw4n1", 4, None, networks[:STATIC_SIZE]),)
    sets.apply(system, sets.plan(full, sets.read(system, full, "ipset")))
    assert sets.plan(full, sets.read(system, full, "ipset")) == ()
    more = (AddressSet("sw4n1", 4, None, networks),)
    with pytest.raises(ReconcileError, match=r"ipset add sw4n1 \S+: Hash is full"):
        sets.apply(system, sets.plan(more, sets.read(system, more, "ipset")))


@both
def test_as_many_distinct_policies_as_the_mask_numbers(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Each client is judged by its own."""
    ways = (DIRECT, US, EU)
    policies = tuple(MarkPolicy(number, "", (MarkRule(("sw4n1",), US),), ways[number % 3]) for number in range(1, 8192))
    family = FamilyMarks(dict(zip(CLIENTS[4], (1, 4096, 8191))), policies, "sw4s")
    section = dataclasses.replace(the_marks(backend), v4=family, v6=FamilyMarks())
    bring(system, backend, the_sets(), section)
    assert marks.plan(section, marks.read(system, section, backend)) == ()
    for destination, expected in (("192.0.2.1", [ways[number % 3] for number in (1, 4096, 8191)]), (LISTED, [US] * 3)):
        found = lab.marks(system, [(client, destination) for client in CLIENTS[4]])
        assert found == [mark_of(number, MASK) for number in expected]


def test_with_a_full_table_of_connections_nothing_takes_another_way(system: NamespaceSystem, lab: Lab) -> None:
    """The kernel ends what nobody has answered, and drops what finds no room all the same; it is told."""
    bring(system, "ipset", the_sets(), the_marks("ipset"))
    system.set_sysctl("net/netfilter/nf_conntrack_udp_timeout", "600")  # none ends while others begin
    there = flow_table.read(system)
    assert there is not None
    uplink, tunnel = lab.exits["uplink"], lab.exits["wg-up-1"]
    with captured(uplink, "uplink") as astray, captured(tunnel, "wg-up-1") as listed:
        with lab.client.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((CLIENTS[4][0], 0))
        for number in range(there.most + there.most // 20):
            sender.sendto(b"x", (f"198.51.100.{number % 250 + 1}", 1000 + number // 250))
        sender.close()
    assert listed
    assert astray == []
    full = flow_table.read(system)
    assert full is not None
    assert there.most * 0.9 < full.flows <= there.most
    assert (full.most, full.refused >= there.refused) == (there.most, True)
    assert set(lab.marks(system, [(CLIENTS[4][0], LISTED)])) <= {mark_of(US, MASK), None}


def test_connections_of_an_egress_to_one_server_have_a_port_each(system: NamespaceSystem, lab: Lab) -> None:
    """64,512 of its address; what finds no port is dropped, and told as refused."""
    section = the_marks("ipset")
    everybody = dataclasses.replace(section.v4, clients=dict.fromkeys(CLIENTS[4], 1))
    bring(system, "ipset", the_sets(), dataclasses.replace(section, v4=everybody))
    system.set_sysctl("net/netfilter/nf_conntrack_udp_timeout", "600")  # none ends while others begin
    before, each = flow_table.read(system), 22_000
    with lab.client.entered():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with captured(lab.exits["uplink"], "uplink") as astray:
        for client in CLIENTS[4]:
            for port in range(1024, 1024 + each):
                raw.sendto(datagram(client, LISTED, port), (LISTED, 0))
    raw.close()
    after = flow_table.read(system)
    assert astray == []
    assert before is not None
    assert after is not None
    assert 60_000 < after.flows <= 64_512
    assert after.refused - before.refused == 3 * each - after.flows


def datagram(source: str, destination: str, port: int) -> bytes:
    """Return an IPv4 packet with a datagram from a port to 443."""
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 29, 0, 0, 64, socket.IPPROTO_UDP, 0)  # the kernel adds its checksum
    return header + addresses + struct.pack("!HHHH", port, 443, 9, 0) + b"x"


def test_more_events_than_the_socket_holds_are_a_look_at_everything(system: NamespaceSystem) -> None:
    del system  # it lends its namespace
    events = watch.Events()
    one = "route add 192.0.2.1 dev lo table 77\nroute del 192.0.2.1 dev lo table 77\n"
    subprocess.run(["ip", "-batch", "-"], input=one * 5000, text=True, check=True)
    assert events.read(watch.ours(State())) == frozenset(SECTIONS)
    assert events.read(watch.ours(State())) == frozenset(), "what was lost was lost once"
    run_here("ip", "rule", "add", "pref", "77", "lookup", "77")
    assert events.read(watch.ours(State())) == {"routes"}
    events.close()


def test_answers_that_come_faster_than_they_are_read_are_counted(network: Network) -> None:
    client = network.host("client")
    network.connect(client, "wg0", ("10.8.0.1/24",), ("10.8.0.2/24",))
    answers = Answers(["10.8.0.1/24"])
    assert answers.bind("wg0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("10.8.0.1", 53))
        for _ in range(60_000):
            server.sendto(b"x" * 100, ("10.8.0.2", 5353))
    assert 0 < answers.count_dropped() < 60_000
    dropped = answers.dropped
    assert answers.count_dropped() == dropped
    answers.close()


def test_answers_are_heard_by_whoever_has_thousands_of_sockets(network: Network) -> None:
    """As an agent has that probes as many upstreams."""
    client = network.host("client")
    network.connect(client, "wg0", ("10.8.0.1/24",), ("10.8.0.2/24",))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(open(os.devnull, "rb"))
        answers = stack.enter_context(contextlib.closing(Answers(["10.8.0.1/24"])))
        assert answers.bind("wg0")
        assert not answers.waiting()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("10.8.0.1", 53))
            server.sendto(b"x", ("10.8.0.2", 5353))
        wait_for(answers.waiting, "the answer")


def test_questions_beyond_dnsmasqs_limit_are_refused_at_once(system: NamespaceSystem, network: Network) -> None:
    """While its servers are silent 2,000 wait; the others are told so, and need not wait for nothing."""
    client, web = network.host("client"), network.host("web")
    network.connect(client, "wg0", ("10.8.0.1/24",), ("10.8.0.2/24",))
    network.connect(web, "uplink", ("10.90.0.1/24",), ("10.90.0.9/24",))
    with web.entered():
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("10.90.0.9", 53))
    silent.setsockopt(socket.SOL_SOCKET, BUFFER_FORCE, 1 << 24)
    desired = Dns("wg0", ("10.90.0.9",), ())
    dns.apply(system, dns.plan(desired, dns.read(system, desired)))
    with client.entered():
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.setsockopt(socket.SOL_SOCKET, BUFFER_FORCE, 1 << 24)
    asking.connect(("10.8.0.1", 53))
    for number in range(2500):
        asking.send(struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + b"\5n%04d\7example\0\0\1\0\1" % number)
        if number % 50 == 0:
            wait_for(lambda: unread(53) == 0, "dnsmasq to read them")  # else its socket's buffer is the limit
    refused = 0
    asking.settimeout(3)
    with contextlib.suppress(TimeoutError):
        while True:
            refused += asking.recv(512)[3] & 0xF == 5
    assert 400 <= refused <= 600

    silent.settimeout(1)
    with contextlib.suppress(TimeoutError):
        while True:
            question, who = silent.recvfrom(512)
            silent.sendto(question[:2] + b"\x81\x83" + question[4:], who)
    asking.send(struct.pack("!HHHHHH", 9999, 0x0100, 1, 0, 0, 0) + b"\5later\7example\0\0\1\0\1")
    silent.settimeout(10)
    while silent.recvfrom(512)[0][12:25] != b"\5later\7example\0"[:13]:
        pass  # answers have made room for it; those before it were late
    silent.close()
    asking.close()


def unread(port: int) -> int:
    """Return the bytes that came to a UDP port of the gateway's and that nobody has read."""
    lines = Path("/proc/thread-self/net/udp").read_text().splitlines()[1:]
    found = [line.split() for line in lines]
    return sum(int(words[4].partition(":")[2], 16) for words in found if words[1].endswith(f":{port:04X}"))


def test_idle_connections_keep_no_others_waiting(system: NamespaceSystem, network: Network) -> None:
    """By default 20 do, for two and a half minutes."""
    client = network.host("client")
    network.connect(client, "wg0", ("10.8.0.1/24",), ("10.8.0.2/24",))
    desired = Dns("wg0", ("10.90.0.9",), ())
    dns.apply(system, dns.plan(desired, dns.read(system, desired)))
    with client.entered(), contextlib.ExitStack() as idle:
        for _ in range(60):
            idle.enter_context(socket.create_connection(("10.8.0.1", 53)))
        assert answers("10.8.0.1", timeout=20)


def test_the_servers_own_key_is_no_clients(system: NamespaceSystem) -> None:
    """One that the gateway made: those of the inventory are compared before any host is touched."""
    alice = Peer("alice", None, ("10.8.0.2/32",))
    device = Device("server", "wg0", None, ("10.8.0.1/24",), (alice,))
    wireguard.apply(system, wireguard.plan((device,), wireguard.read(system, (device,), wireguard.SERVER)))
    own = run_here("wg", "show", "wg0", "public-key").strip()
    wrong = dataclasses.replace(device, peers=(alice, Peer("bob", own, ("10.8.0.3/32",))))
    with pytest.raises(ReconcileError, match="wg0: the public key of the peer bob is the interface's own"):
        wireguard.plan((wrong,), wireguard.read(system, (wrong,), wireguard.SERVER))


@both
def test_dnsmasq_reads_the_longest_names_in_very_many_lists(
    system: NamespaceSystem, backend: str, tmp_path: Path
) -> None:
    name = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}"
    lines = tuple(
        line(name[index:], range(9000, 9000 + most_sets(name[index:], backend)), backend) for index in (0, 64)
    )
    assert max(map(len, lines)) > 900
    path = tmp_path / "names.conf"
    path.write_text(names_text(Dns("wg0", (), lines)))
    assert system.read("dnsmasq", "--test", f"--conf-file={path}") == ""


def most_sets(name: str, backend: str) -> int:
    """Return how many lists the compiler puts a name into by one line."""
    return next(count for count in range(100, 0, -1) if len(line(name, [9999] * count, backend)) <= LONGEST_LINE)
