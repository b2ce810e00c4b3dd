# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes through wires that stand in for tunnels: exits that answer, refuse, are silent, or are not there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import Optional

import pytest
from namespaces import Namespace, run_here
from traffic import Lab, lab  # noqa: F401

from splitway.agent.upstreams.health import DOWN, UP, Health, Round, judge
from splitway.agent.upstreams.probes import Memory, ask
from splitway.state import Target, Watch

ICMP, ICMP6 = Target("icmp", "198.51.100.1"), Target("icmp", "2001:db8:1::1")
OPEN, OPEN6 = Target("tcp", "198.51.100.1", 80), Target("tcp", "2001:db8:1::1", 80)
CLOSED, CLOSED6 = Target("tcp", "198.51.100.1", 81), Target("tcp", "2001:db8:1::1", 81)
DNS = Target("dns", "198.51.100.1", None, "example.com")
DNS6 = Target("dns", "2001:db8:1::1", 5353, "example.com")
ALL = (ICMP, ICMP6, OPEN, OPEN6, CLOSED, CLOSED6, DNS, DNS6)
TIMEOUT = 400  # milliseconds, where somebody is silent
PATIENT = 5000  # milliseconds, where all answer or refuse: nobody waits for so long, but on a busy machine
IPV6_FREEBIND = 78  # linux/in6.h


@pytest.fixture
def exit_(lab: Lab) -> Namespace:  # noqa: F811
    """The exit at the end of wg-up-1, which has all addresses; only what is bound to the tunnel goes there."""
    for family in ("-4", "-6"):
        run_here("ip", family, "rule", "add", "pref", "5010", "oif", "wg-up-1", "lookup", "101")
    host = lab.exits["wg-up-1"]
    for address in ((DNS.address, 53), (DNS6.address, 5353)):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with host.entered():
            server = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            server.bind(address)
        threading.Thread(target=_serve_names, args=(server,), daemon=True).start()
    return host


def _serve_names(server: socket.socket) -> None:
    server.settimeout(20)
    with server, contextlib.suppress(OSError):
        while True:
            query, client = server.recvfrom(512)
            # The answer of another question comes first.
            server.sendto(bytes((query[0] ^ 1,)) + query[1:], client)
            server.sendto(query[:2] + b"\x81\x83" + query[4:], client)  # no such name: an answer all the same


def watch(*targets: Target, timeout: int = TIMEOUT) -> Watch:
    return Watch("us", "wg-up-1", targets, timeout=timeout)


def silent(host: Namespace) -> None:
    host.run("nft", "add table inet t; add chain inet t c { type filter hook prerouting priority -300; policy drop; }")


def unreachable(host: Namespace) -> None:
    """The exit has lost its way to everything but the wire."""
    for family, key in (("-4", "ipv4.ip_forward"), ("-6", "ipv6.conf.all.forwarding")):
        host.run("ip", family, "route", "del", "local", "default", "table", "main")
        host.run("ip", family, "route", "add", "unreachable", "default", "metric", "1")
        host.run("sysctl", "-q", "-w", f"net.{key}=1")


def asked(wanted: Watch, memory: Optional[Memory] = None) -> dict[Target, Optional[float]]:
    memory = memory or Memory()

    async def one() -> dict[Target, Optional[float]]:
        try:
            return await ask(wanted, memory)
        finally:
            memory.close()  # a loop's sockets end with it

    return asyncio.run(one())


def test_every_kind_of_target_answers_in_both_families(exit_: Namespace) -> None:
    replies = asked(watch(*ALL, timeout=PATIENT))
    assert [target for target in ALL if replies[target] is None] == []
    assert all(time is not None and 0 < time < PATIENT / 1000 for time in replies.values())


def test_nothing_goes_another_way_than_the_tunnel(exit_: Namespace) -> None:
    silent(exit_)  # the uplink's exit and that of wg-up-2 answer on the same addresses
    replies = asked(watch(*ALL))
    assert replies == dict.fromkeys(ALL)


@pytest.mark.parametrize("target", ALL, ids=lambda target: f"{target.kind} {target.address} {target.port}")
def test_an_exit_without_a_way_refuses(exit_: Namespace, target: Target) -> None:
    unreachable(exit_)
    memory = Memory()
    # A refusal that comes while connect() is still under way, as here it may, counts for nothing: the next SYN's does.
    assert asked(watch(target, timeout=PATIENT), memory) == {target: None}
    assert memory.refused == {target}


def test_a_port_where_no_name_server_listens_is_no_refusal(exit_: Namespace) -> None:
    memory, target = Memory(), Target("dns", "198.51.100.1", 54, "example.com")
    assert asked(watch(target), memory) == {target: None}
    assert memory.refused == set()


def test_an_interface_without_ipv6_answers_over_ipv4(exit_: Namespace) -> None:
    run_here("sysctl", "-q", "-w", "net.ipv6.conf.wg-up-1.disable_ipv6=1")
    replies = asked(watch(ICMP, ICMP6, OPEN6, DNS6, timeout=PATIENT))
    assert replies[ICMP] is not None
    assert [replies[target] for target in (ICMP6, OPEN6, DNS6)] == [None] * 3


@pytest.mark.parametrize("command", ["link delete wg-up-1", "link set wg-up-1 down"])
def test_a_tunnel_that_is_broken_here_is_known_at_once(exit_: Namespace, command: str) -> None:
    memory = Memory()
    assert None not in asked(watch(ICMP, OPEN, timeout=PATIENT), memory).values()
    run_here("ip", *command.split())
    start = time.monotonic()
    assert asked(watch(ICMP, OPEN, DNS, timeout=PATIENT), memory) == dict.fromkeys((ICMP, OPEN, DNS))
    assert time.monotonic() - start < PATIENT / 1000, "nobody waited for an answer"


def test_an_interface_that_was_made_anew_is_asked_again(exit_: Namespace, lab: Lab) -> None:  # noqa: F811
    memory = Memory()
    run_here("ip", "link", "delete", "wg-up-1")
    assert asked(watch(ICMP), memory) == {ICMP: None}
    lab.network.connect(exit_, "wg-up-1", ("10.91.0.1/24",), ("10.91.0.2/24",))
    run_here("ip", "route", "replace", "default", "via", "10.91.0.2", "dev", "wg-up-1", "table", "101")
    exit_.run("ip", "route", "flush", "default")
    exit_.run("ip", "route", "replace", "local", "default", "dev", "lo", "table", "main")
    assert asked(watch(ICMP, timeout=PATIENT), memory)[ICMP] is not None


def test_only_who_answered_last_is_asked_while_it_answers(exit_: Namespace) -> None:
    wanted, memory = watch(ICMP, OPEN, DNS, timeout=3000), Memory()
    assert set(asked(wanted, memory)) == {ICMP, OPEN, DNS}
    best = memory.best
    assert best is not None
    assert set(asked(wanted, memory)) == {best}
    # Its silence has the others asked within half of the time, and the one that answers is the first from then on.
    family = "ip protocol icmp" if best == ICMP else "tcp dport 80" if best == OPEN else "udp dport 53"
    exit_.run("nft", "add table inet t; add chain inet t c { type filter hook prerouting priority -300; }")
    exit_.run("nft", f"add rule inet t c {family} drop")
    replies = asked(wanted, memory)
    assert replies.pop(best) is None
    assert len(replies) == 2
    assert None not in replies.values()
    assert memory.best in replies
    assert set(asked(wanted, memory)) == {memory.best}


def test_a_target_that_never_answers_is_asked_three_times(exit_: Namespace) -> None:
    exit_.run("nft", "add table inet t; add chain inet t c { type filter hook prerouting priority -300; }")
    exit_.run("nft", "add rule inet t c tcp dport 81 drop")
    wanted, memory = watch(ICMP, CLOSED, timeout=1000), Memory()
    rounds = [asked(wanted, memory) for _ in range(5)]
    assert [CLOSED in replies for replies in rounds] == [True, True, True, False, False]
    assert all(replies[ICMP] is not None for replies in rounds)


def test_data_that_comes_in_while_nobody_answers_is_counted(exit_: Namespace, lab: Lab) -> None:  # noqa: F811
    memory = Memory()
    asked(watch(ICMP, timeout=PATIENT), memory)
    assert memory.received is None
    exit_.run("nft", "add table inet t; add chain inet t c { type filter hook prerouting priority -300; }")
    exit_.run("nft", "add rule inet t c ip protocol icmp drop")
    with exit_.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.01):
            sender.sendto(bytes(100), ("10.91.0.1", 9))

    sending = threading.Thread(target=send)
    sending.start()
    asked(watch(ICMP, timeout=1500), memory)
    stop.set()
    sending.join()
    assert memory.received is not None
    assert memory.received > 1000
    time.sleep(0.05)  # what was under way
    asked(watch(ICMP), memory)
    assert memory.received < 400


def test_probes_and_judgement_together(exit_: Namespace) -> None:
    """An exit dies: it is down within the budget of a tight watch."""
    wanted = Watch("us", "wg-up-1", (ICMP, OPEN), interval=500, timeout=TIMEOUT)

    def rounds(health: Health, memory: Memory, wanted_state: str, begin: float) -> Health:
        """Ask until it is in a state, by a clock on which each round takes its time and no more."""
        for number in range(10):
            replies = asked(wanted, memory)
            now = begin + (number * wanted.interval + wanted.timeout) / 1000
            health = judge(health, Round(now, replies, None, memory.received, memory.refused))
            if health.state == wanted_state:
                return health
        raise AssertionError(health)

    memory = Memory()
    health = rounds(Health(wanted, 0.0), memory, UP, 0.0)
    silent(exit_)
    health = rounds(health, memory, DOWN, 100.0)
    assert 100 < health.since < 102


def test_cost(exit_: Namespace) -> None:
    """20 upstreams every 2 s: what a round takes of a core is printed; the bound is a loose one."""
    wanted = Watch("us", "wg-up-1", (ICMP, Target("icmp", "198.51.100.2")))

    async def many(rounds: int) -> None:
        memory = Memory()
        for _ in range(rounds):
            assert None not in (await ask(wanted, memory)).values()
        memory.close()

    asyncio.run(many(50))
    before = time.process_time()
    asyncio.run(many(500))
    spent = (time.process_time() - before) / 500
    print(f"one round {spent * 1e6:.0f} µs of CPU: 20 upstreams every 2 s {spent * 10:.2%} of a core")
    assert spent * 10 < 0.01
