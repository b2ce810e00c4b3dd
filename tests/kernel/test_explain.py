# SPDX-License-Identifier: GPL-3.0-or-later
"""What `explain` says, against what the kernel does with real packets."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import socket
from collections import Counter
from pathlib import Path
from typing import Optional

import pytest
from namespaces import NamespaceSystem, run_here, wait_for
from test_groups import Gateway, topology
from traffic import (
    BACKENDS,
    BLOCK,
    CLIENTS,
    DIRECT,
    EGRESSES,
    EXITS,
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
from worlds import BASES, random_destination, random_world

from splitway.agent.commands import explain as explain_command
from splitway.agent.commands.explain import explain_here
from splitway.compiler.names import line
from splitway.explain import Explanation
from splitway.reconcile import dns
from splitway.reconcile.dns.text import UNIT
from splitway.state import AddressSet, Device, Dns, Marks, Peer, PreviousKey, Routes, Rule, State, Table, mark_of
from splitway.store import Store

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)

WORLDS, PAIRS = 10, 100  # each: 1,000 pairs of client and destination in all
ROUTES = Routes(
    tuple(
        Table(item.number, item.name, item.interface, (4, 6) if item.interface else (), "unreachable")
        if item.number != BLOCK
        else Table(BLOCK, "block", None, (), "prohibit")
        for item in EGRESSES
        if item.number != DIRECT
    ),
    tuple(
        Rule(5030, "lookup", table=item.number, mark=mark_of(item.number, MASK), mask=MASK)
        for item in EGRESSES
        if item.number != DIRECT
    ),
)
PEERS = tuple(
    Peer(f"client{index}", None, (f"{v4}/32", f"{v6}/128"))
    for index, (v4, v6) in enumerate(zip(CLIENTS[4], CLIENTS[6]))
)
NAME_OF = {peer.allowed_ips[index].partition("/")[0]: peer.name for peer in PEERS for index in (0, 1)}
SERVER = Device("server", "wg0", None, ("10.8.0.1/16", "fdcc::1/64"), PEERS)
UPSTREAMS = tuple(Device(item.name, item.interface, None, (), ()) for item in EGRESSES if item.interface)


def gateway(backend: str, wanted: tuple[AddressSet, ...], section: Marks) -> State:
    return State(backend, {}, SERVER, UPSTREAMS, ROUTES, wanted, None, section)


def test_1000_explanations_are_what_the_kernel_does(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """By each flow's mark, and by the exits at which the datagrams for each destination arrive."""
    rnd = random.Random(20261123)
    said = set()
    for _ in range(WORLDS):
        wanted, section, contents = random_world(rnd, backend)
        bring(system, backend, wanted, section)
        for name, addresses in contents.items():
            if name[3] == "d":
                learn(backend, name, *(address.split("/")[0] for address in addresses))
        Store(system).publish(gateway(backend, wanted, section))
        pairs = [random_pair(rnd) for _ in range(PAIRS)]
        with contextlib.ExitStack() as stack:
            arrived = {name: stack.enter_context(captured(host, name)) for name, host in lab.exits.items()}
            marks = lab.marks(system, pairs)
        explained = [explain_here(system, rnd.choice((pair[0], NAME_OF[pair[0]])), pair[1]) for pair in pairs]
        ways = [way(one) for one in explained]
        assert dict(zip(pairs, [mark for mark, _ in ways])) == dict(zip(pairs, marks))
        expected = Counter((name, pair[1]) for pair, (_, name) in zip(pairs, ways) if name)
        assert expected == Counter((name, destination(data)) for name, packets in arrived.items() for data in packets)
        said.update((name, one.decisions[0].blocked is None) for one, (_, name) in zip(explained, ways))
        run_here("conntrack", "-F")
    assert said == {(None, False), *((name, True) for name in EXITS)}  # else the test would have proven little


def test_groups_are_explained_as_new_flows_take_them(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    gateway = Gateway(system, lab, topology(backend, mode="balance", on_down="direct"))
    fast = gateway.number("fast")
    reached = []
    for choices in (
        {},
        {fast: gateway.choice("fast/eu")},
        {fast: gateway.choice("fast", direct=True)},
        {fast: gateway.choice("fast")},
    ):
        gateway.switch(choices)
        (decision,) = explain_here(system, CLIENTS[4][0], "198.51.100.1").decisions
        run_here("conntrack", "-F")
        with contextlib.ExitStack() as stack:
            arrived = {name: stack.enter_context(captured(host, name)) for name, host in lab.exits.items()}
            marks = lab.marks(system, [(CLIENTS[4][0], f"198.51.100.{host}") for host in range(1, 61)])
        open_paths = [path for path in decision.paths if path.blocked is None]
        assert {int(path.mark, 16) for path in open_paths} == {mark for mark in marks if mark}
        reached.append({name for name, packets in arrived.items() if packets})
        assert {path.interface for path in open_paths} == reached[-1]
    assert reached == [{"wg-up-1", "wg-up-2"}, {"wg-up-2"}, {"uplink"}, set()]


def random_pair(rnd: random.Random) -> tuple[str, str]:
    family = rnd.choice((4, 6))
    return rnd.choice(CLIENTS[family]), random_destination(rnd, family, rnd.choice(BASES[family]))


def way(explanation: Explanation) -> tuple[Optional[int], Optional[str]]:
    """Return mark and interface by which a datagram is said to leave; None for one that does not."""
    (decision,) = explanation.decisions
    if decision.blocked is not None:
        return None, None
    (path,) = decision.paths
    return int(path.mark, 16), path.interface


def destination(packet: bytes) -> str:
    family, address = (socket.AF_INET, packet[16:20]) if packet[0] >> 4 == 4 else (socket.AF_INET6, packet[24:40])
    return socket.inet_ntop(family, address)


def command(system: NamespaceSystem, *words: str) -> int:
    parser = argparse.ArgumentParser()
    explain_command.arguments(parser)
    return explain_command.run(parser.parse_args(words), system)


def test_a_name_is_explained_by_what_dnsmasq_answers(
    system: NamespaceSystem, lab: Lab, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = tmp_path / "internet.conf"
    configuration.write_text(
        "no-resolv\nno-hosts\nlocal-ttl=300\nlocal=/example/\nhost-record=www.video.example,198.18.0.7,2001:db8:7::7\n"
        "host-record=cdn.example,198.18.0.7\n"
    )
    argv = ("dnsmasq", "--keep-in-foreground", f"--conf-file={configuration}", "--pid-file=", "--user=root")
    internet, server = lab.exits["uplink"], "10.90.0.2"
    internet.start(*argv)
    asking = ("dig", f"@{server}", "+short", "+tries=1", "www.video.example")
    wait_for(lambda: internet.run(*asking, check=False).strip() == "198.18.0.7", "the Internet")
    wanted, section = the_sets(), the_marks(backend)
    bring(system, backend, wanted, section)
    names = Dns("wg0", (server,), (line("video.example", [1], backend), line("cdn.example", [2], backend)))
    dns.apply(system, dns.plan(names, dns.read(system, names)))
    Store(system).publish(dataclasses.replace(gateway(backend, wanted, section), dns=names))

    assert command(system, "--client", "client0", "--to", "WWW.Video.example", "--port", "443", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    found = {item["address"]: item["paths"][0]["interface"] for item in data["decisions"]}
    assert found == {"198.18.0.7": "wg-up-1", "2001:db8:7::7": "wg-up-1"}
    assert {address: lab.way(address) for address in found} == found  # asking has taught the sets

    # The address is shared: the earlier rule has it by the other name.
    assert command(system, "--client", CLIENTS[4][0], "--to", "cdn.example") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "→ us: decides (learned, set sw4d1; by another name, which shares the address)" in told
    assert "→ eu: hidden by it (learned for cdn.example, set sw4d2)" in told
    assert "by wg-up-1, next hop 10.91.0.2" in told

    forget(backend, "sw4d2", "198.18.0.7")  # dnsmasq answers from its cache, and teaches nobody
    forget(backend, "sw4d1", "198.18.0.7")
    assert command(system, "--client", "client0", "--to", "cdn.example") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "no rule holds it" in told
    assert "but sw4d2 does not hold this address now" in told
    assert lab.way("198.18.0.7") == "uplink"

    system.units.stop(UNIT)
    assert command(system, "--client", "client0", "--to", "cdn.example") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "our dnsmasq does not answer" in told
    assert "→ eu: decides (learned for cdn.example, set sw4d2)" in told


def test_what_strangers_did_is_told(
    system: NamespaceSystem, lab: Lab, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what the kernel has now, not by what it should have."""
    wanted, section = the_sets(), the_marks(backend)
    bring(system, backend, wanted, section)
    Store(system).publish(gateway(backend, wanted, section))
    ask = ("--client", "client1", "--to", "192.0.2.9")  # its default is us
    run_here("ip", "route", "del", "default", "table", str(US))
    command(system, *ask)
    assert "where the guard drops it" in " ".join(capsys.readouterr().out.split())
    run_here("ip", "route", "add", "unreachable", "default", "table", str(US))
    command(system, *ask)
    assert "the kernel refuses it: No route to host" in " ".join(capsys.readouterr().out.split())
    command(system, "--client", "client1", "--to", "10.90.0.1")
    assert "to the gateway itself" in capsys.readouterr().out


def test_a_client_of_two_keys_is_one_and_one_without_time_is_told(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    store = Gateway(system, lab, topology(backend)).store
    networks = (f"{CLIENTS[4][0]}/32", f"{CLIENTS[6][0]}/128")
    alice = Peer("alice", "NEW", networks, previous=PreviousKey("OLD", 2**33))

    def said(peer: Peer) -> Explanation:
        store.publish_section("server", dataclasses.replace(SERVER, peers=(peer,)), backend)
        return explain_here(system, "alice", "198.51.100.1")

    before = said(Peer("alice", "NEW", networks))
    assert said(alice) == before
    over = said(dataclasses.replace(alice, expires=1))
    assert over.decisions == before.decisions
    assert over.notes == (*before.notes, "its time is up (expires): it is no peer, and sends nothing")
