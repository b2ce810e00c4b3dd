# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes by client and way against real flows: living, ended, deleted, and more than the socket can hold."""

from __future__ import annotations

import dataclasses
import socket
import time

import pytest
from namespaces import NamespaceSystem, run_here, wait_for
from traffic import CLIENTS, MASK, Lab, bring, lab, learn, the_marks, the_sets

from splitway.agent.figures import flow_bytes
from splitway.agent.figures.traffic import Names, Traffic, names
from splitway.reconcile import flows
from splitway.state import Device, Peer, State

__all__ = ["lab"]
ONE, TWO, _ = CLIENTS[4]
TRIES = 5  # a processor that others use, too, is slower
PLAIN, VIDEO = "192.0.2.1", "198.51.100.1"  # by the first client's policy: direct, us


def known(backend: str = "ipset") -> Names:
    peers = tuple(
        Peer(name, None, (f"{CLIENTS[4][number]}/32", f"{CLIENTS[6][number]}/128"))
        for number, name in enumerate(("alice", "bob"))
    )
    upstreams = tuple(Device(name, f"wg-up-{number}", None, (), ()) for number, name in ((1, "us"), (2, "eu")))
    state = State(server=Device("server", "wg0", None, (), peers), upstreams=upstreams, marks=the_marks(backend))
    found = names(state)
    assert found is not None
    return found


@pytest.fixture
def traffic(system: NamespaceSystem, lab: Lab) -> Traffic:
    assert bring(system, "ipset", the_sets(), the_marks("ipset"))
    system.set_sysctl("net/netfilter/nf_conntrack_acct", "1")
    return Traffic(known())


def move(connection: socket.socket, count: int) -> None:
    """Send so many bytes to the exit and get them back."""
    for _ in range(count // 100):
        connection.sendall(b"x" * 100)
        got = 0
        while got < 100:
            got += len(connection.recv(100))


def settled(system: NamespaceSystem, traffic: Traffic) -> dict[tuple[str, str], int]:
    """Return the totals once the last acknowledgements have passed, which TCP delays."""
    seen: list[dict[tuple[str, str], int]] = [{}, {}, {}]

    def same() -> bool:
        time.sleep(0.1)  # longer than TCP delays one
        seen.append(dict(traffic.read(system, time.monotonic())))
        return bool(seen[-1]) and seen[-1] == seen[-2] == seen[-3]

    wait_for(same, "totals that stay")
    return seen[-1]


def end_all(system: NamespaceSystem) -> None:
    flows.apply(system, tuple(flows.Change("remove", str(flow), payload=flow) for flow in flows.read(system)))


def test_bytes_of_flows_that_live_and_that_end(system: NamespaceSystem, lab: Lab, traffic: Traffic) -> None:
    direct, us = lab.open(PLAIN), lab.open(VIDEO)
    six = lab.open("2001:db8:1::1")
    for connection, count in ((direct, 1000), (us, 20_000), (six, 4000)):
        connection.recv(100)
        move(connection, count)
    living = settled(system, traffic)
    assert set(living) == {("alice", "direct"), ("alice", "us")}
    # Each byte went there and back, in packets of 100 with some 60 bytes of headers, and acknowledgements.
    assert 2000 < living["alice", "direct"] < 10_000
    assert 48_000 < living["alice", "us"] < 160_000
    end_all(system)
    assert traffic.read(system, time.monotonic()) == living, "exactly the same once they ended"
    for connection in (direct, us, six):
        connection.close()


def test_a_flow_counts_once_whatever_is_looked_at_when(system: NamespaceSystem, lab: Lab, traffic: Traffic) -> None:
    us = lab.open(VIDEO)
    us.recv(100)
    before = 0
    for _ in range(5):
        move(us, 1000)
        now = traffic.read(system, time.monotonic())["alice", "us"]
        assert before + 2000 < now < before + 10_000
        before = now
        traffic.drain()
    end_all(system)
    traffic.drain()
    traffic.drain()
    total = settled(system, traffic)["alice", "us"]
    assert total == traffic.read(system, time.monotonic())["alice", "us"] >= before
    us.close()


def test_an_old_answer_is_given_where_it_will_do(system: NamespaceSystem, lab: Lab, traffic: Traffic) -> None:
    lab.send([(ONE, VIDEO)])
    assert len(traffic.read(system, 100.0)) == 1
    lab.send([(ONE, PLAIN)])
    assert len(traffic.read(system, 120.0, oldest=30.0)) == 1
    assert len(traffic.read(system, 131.0, oldest=30.0)) == 2


def test_only_clients_flows_wake_us(system: NamespaceSystem, lab: Lab, traffic: Traffic) -> None:
    run_here(
        "conntrack", "-I", "-p", "udp", "-s", "192.0.2.7", "-d", "192.0.2.8", "--sport", "1", "--dport", "2", "-t", "60"
    )
    lab.send([(ONE, VIDEO)])
    learn("ipset", "sw4d1", "192.0.2.9")
    end_all(system)
    found = list(traffic._flows.read())
    assert [flow.source for flow in found] == [socket.inet_aton(ONE)]


def test_another_generation_and_another_mask(system: NamespaceSystem, lab: Lab, traffic: Traffic) -> None:
    lab.send([(ONE, VIDEO)])
    end_all(system)
    before = dict(traffic.read(system, time.monotonic()))
    traffic.follow(dataclasses.replace(known(), mask=0x3FFF0000))
    lab.send([(ONE, VIDEO)])
    end_all(system)
    assert traffic.read(system, time.monotonic()) == before, "marks of ours are elsewhere now"
    traffic.follow(known())
    lab.send([(ONE, VIDEO)])
    end_all(system)
    assert traffic.read(system, time.monotonic())["alice", "us"] == 2 * before["alice", "us"]


def test_many_flows_that_end_at_once(system: NamespaceSystem, lab: Lab, traffic: Traffic) -> None:
    system.set_sysctl("net/netfilter/nf_conntrack_udp_timeout", "600")  # none ends by itself

    def each() -> float:
        """Return the seconds of a processor that each takes."""
        lost = traffic.lost
        lab.send([(ONE, VIDEO), (TWO, PLAIN)] * 5000)
        assert sum(traffic.read(system, time.monotonic()).values()) > 0
        alive = time.perf_counter()
        count = sum(1 for _ in flow_bytes.living(system, MASK))
        print(f"dump: {(time.perf_counter() - alive) / count * 1e6:.1f} µs a flow of {count}")
        run_here("conntrack", "-F")
        began = time.process_time()
        ended = list(traffic._flows.read())
        took = (time.process_time() - began) / len(ended)
        print(f"ended: {took * 1e6:.1f} µs a flow; the socket held {len(ended)} of {count}, lost {traffic.lost}")
        assert len(ended) > 3000
        assert len(ended) == count or traffic.lost == lost + 1
        wait_for(lambda: not list(traffic._flows.read()), "the end of them")
        return took

    assert any(each() < 20e-6 for _ in range(TRIES))
