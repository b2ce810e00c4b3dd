# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own connections under a policy: judged by real packets, in both backends."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import NamespaceSystem, run_here, wait_for_addresses
from traffic import (
    BACKENDS,
    BLOCK,
    EU,
    MASK,
    PATIENCE,
    US,
    Lab,
    bring,
    captured,
    echoing,
    lab,
    policies,
    the_marks,
    the_sets,
)

from splitway.reconcile import flows, marks, sets
from splitway.state import FAMILIES, Host, Marks, TunnelMtu, exempt_mark, mark_of

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)

FAR = {4: "203.0.113.8", 6: "2001:db8:5::1"}
SECOND = Host(2, ("10.8.0.1", "fdcc::1"), ("dnsmasq", "nobody-has-this"))
"""The policy whose default is us; what is on its list goes to eu."""
LOAD = bytes(range(256)) * 8192  # 2 MiB


def the_section(backend: str) -> Marks:
    """As compiled, with an EU that has no IPv6."""
    section = the_marks(backend)
    families = {BLOCK: (), EU: (4,)}
    egresses = tuple(
        dataclasses.replace(egress, families=families.get(egress.number, FAMILIES)) for egress in section.egresses
    )
    return dataclasses.replace(section, egresses=egresses, host=SECOND)


@pytest.fixture
def gateway(system: NamespaceSystem, lab: Lab, backend: str) -> NamespaceSystem:
    for interface in ("wg-up-1", "wg-up-2"):
        Path(f"/proc/sys/net/ipv4/conf/{interface}/rp_filter").write_text("2", encoding="ascii")
    Path("/proc/sys/net/ipv4/conf/all/src_valid_mark").write_text("1", encoding="ascii")
    for family, number in ((4, BLOCK), (6, BLOCK), (6, EU)):
        mark = f"{mark_of(number, MASK):#x}/{MASK:#x}"
        run_here("ip", f"-{family}", "rule", "add", "pref", "5020", "iif", "lo", "fwmark", mark, "goto", "5040")
    for family in ("-4", "-6"):
        run_here("ip", family, "rule", "add", "pref", "5040", "nop")
    bring(system, backend, the_sets(), the_section(backend))
    return system


def way(destination: str, port: int = 80, timeout: float = 1.0) -> str:
    """Return the name of the exit that a new connection of the gateway's own reaches, or why it reaches none."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect((destination, port))
            connection.settimeout(PATIENCE)
            return connection.recv(100).decode()
        except OSError as error:
            return type(error).__name__


def refused_at_once(destination: str, port: int) -> bool:
    """Return whether connections and datagrams are refused, in one of three trials at once: a machine may be busy."""
    for _ in range(3):
        start = time.monotonic()
        assert way(destination, port, timeout=20) == "ConnectionRefusedError"
        with pytest.raises(OSError, match="not permitted"):
            ask(destination, 9 if port == 80 else port)
        if time.monotonic() - start < 0.5:
            return True
    return False


def test_own_connections_take_the_way_of_the_policy(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    ways = {
        FAR[4]: "wg-up-1",
        FAR[6]: "wg-up-1",
        "198.51.100.2": "wg-up-2",
        "10.77.0.9": "wg-up-2",
        "10.78.0.9": "uplink",  # special
        "fd78::1": "uplink",
    }
    assert {destination: way(destination) for destination in ways} == ways
    section = the_section(backend)
    assert marks.plan(section, marks.read(gateway, section, backend)) == ()


@pytest.mark.parametrize("destination", ["169.254.169.254", "fd00:ec2::254", "2001:db8:1::2"])
def test_what_has_no_way_is_refused_at_once(gateway: NamespaceSystem, lab: Lab, backend: str, destination: str) -> None:
    """Blocked; or by an egress without IPv6."""
    exits = [captured(lab.exits[name], name) for name in ("uplink", "wg-up-2")]
    with contextlib.ExitStack() as stack:
        packets = [stack.enter_context(exit_) for exit_ in exits]
        assert refused_at_once(destination, 80)
    assert packets == [[], []]


def ask(destination: str, port: int, size: int = 4) -> bytes:
    """Send a datagram of the gateway's own and return the answer."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect((destination, port))
        connection.send(b"?" * size)
        return connection.recv(2000)


@pytest.mark.parametrize("family", FAMILIES)
def test_datagrams_go_and_come_by_the_tunnel(gateway: NamespaceSystem, lab: Lab, backend: str, family: int) -> None:
    lab.exits["wg-up-1"].run("ip", "-6", "address", "add", f"{FAR[6]}/128", "dev", "lo", "nodad")
    wait_for_addresses(lab.exits["wg-up-1"].run, "lo", FAR[6])
    with answering(lab, "wg-up-1") as peers:
        assert ask(FAR[family], 7) == b"wg-up-1"
    assert peers == [{4: "10.91.0.1", 6: "fd91::1"}[family]], "with the tunnel's address"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_large_transfer_passes_a_narrow_tunnel_both_ways(
    gateway: NamespaceSystem, lab: Lab, backend: str, family: int
) -> None:
    run_here("ip", "link", "set", "wg-up-1", "mtu", "1320")
    lab.exits["wg-up-1"].run("ip", "link", "set", "wg-up-1", "mtu", "1320")
    section = dataclasses.replace(the_section(backend), tunnel_mtus=(TunnelMtu("wg-up-1", 1320),))
    bring(gateway, backend, the_sets(), section)
    with echoing(lab.exits["wg-up-1"]) as port:
        assert any(transfer(FAR[family], port) < 5 for _ in range(3)), "a busy machine may keep one from it"


def transfer(destination: str, port: int) -> float:
    """Return the seconds that a large transfer there and back takes."""
    with socket.create_connection((destination, port), timeout=PATIENCE) as connection:
        start, received = time.monotonic(), 0
        threading.Thread(target=connection.sendall, args=(LOAD,), daemon=True).start()
        while received < len(LOAD):
            part = connection.recv(1 << 16)
            assert part
            received += len(part)
        return time.monotonic() - start


def test_answers_stay_with_those_who_asked(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    """The operator's SSH: even when conntrack has forgotten it and the next packet is ours."""
    exit_ = lab.exits["uplink"]
    for address, family in (("203.0.113.77/32", "-4"), ("2001:db8:77::7/128", "-6")):
        exit_.run("ip", family, "address", "add", address, "dev", "lo", *(("nodad",) if family == "-6" else ()))
        wait_for_addresses(exit_.run, "lo", address)
    with socket.create_server(("::", 22), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        for source, target in (("203.0.113.77", "10.90.0.1"), ("2001:db8:77::7", "fd90::1")):
            with exit_.entered():
                operator = socket.create_connection((target, 22), PATIENCE, (source, 0))
            with operator:
                accepted, _ = listener.accept()
                accepted.sendall(b"hello")
                assert operator.recv(10) == b"hello"
                time.sleep(0.2)  # the operator's delayed acknowledgement is not to be the next packet
                run_here("conntrack", "-F")
                accepted.sendall(b"still here")
                assert operator.recv(10) == b"still here"
                accepted.close()


def test_connections_move_with_the_policy_and_end_with_it(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    own, section = the_sets(), the_section(backend)
    moved_to, kept_to = (FAR[4], 80), ("198.51.100.2", 80)
    with socket.create_connection(moved_to, PATIENCE) as moved, socket.create_connection(kept_to, PATIENCE) as kept:
        assert [moved.recv(100), kept.recv(100)] == [b"wg-up-1", b"wg-up-2"]
        default_eu = dataclasses.replace(policies(4)[1], default=EU)
        other = dataclasses.replace(section, v4=dataclasses.replace(section.v4, policies=(policies(4)[0], default_eu)))
        found, learned = flows.read(gateway, section), sets.members(gateway, backend)
        assert {c.payload.destination for c in flows.plan(section, own, other, own, learned, found)} == {FAR[4]}
        without = dataclasses.replace(section, host=None)
        ended = {c.payload.destination for c in flows.plan(section, own, without, own, learned, found)}
        assert ended == {FAR[4], "198.51.100.2"}
        assert flows.plan(section, own, section, own, learned, found) == ()


def test_connections_from_before_the_policy_stay_as_they_are(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    bring(gateway, backend, the_sets(), dataclasses.replace(the_section(backend), host=None))
    with socket.create_connection((FAR[4], 80), PATIENCE) as connection:
        assert connection.recv(100) == b"uplink"
        bring(gateway, backend, the_sets(), the_section(backend))
        connection.sendall(b"on")
        assert connection.recv(100) == b"on"
    assert way(FAR[4]) == "wg-up-1"


def test_a_program_that_chooses_its_way_keeps_it(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    """By a mark, as tunnels do for what they encrypt; or bound to a tunnel, as probes are."""
    for option, value, expected in (
        (socket.SO_MARK, exempt_mark(MASK), "uplink"),
        (socket.SO_MARK, 0xABC0000, "uplink"),
        (socket.SO_BINDTODEVICE, b"wg-up-2", "wg-up-2"),
    ):
        run_here("ip", "route", "replace", "default", "via", "10.92.0.2", "dev", "wg-up-2", "metric", "99")
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, option, value)
            connection.settimeout(PATIENCE)
            connection.connect((FAR[4], 80))
            assert connection.recv(100).decode() == expected


def test_a_tunnel_of_the_kernel_s_own_is_not_carried_by_ours(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    run_here("ip", "link", "add", "vx", "type", "vxlan", "id", "7", "remote", FAR[4], "dstport", "4789")
    run_here("ip", "address", "add", "10.99.0.1/24", "dev", "vx")
    run_here("ip", "address", "add", "fd99::1/64", "dev", "vx", "nodad")
    with captured(lab.exits["uplink"], "uplink") as outside, captured(lab.exits["wg-up-1"], "wg-up-1") as inside:
        run_here("ip", "link", "set", "vx", "up")
        wait_for_addresses(run_here, "vx", "fd99::1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"inside", ("10.99.0.2", 9))
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"inside", ("fd99::2", 9))  # for the neighbour asks a socket, the kernel's own
    assert outside
    assert inside == []


def test_without_our_ip_rules_nothing_classified_goes_out(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    with socket.create_connection((FAR[4], 80), PATIENCE) as connection:
        assert connection.recv(100) == b"wg-up-1"
        for family in ("-4", "-6"):
            run_here("ip", family, "rule", "flush")
            run_here("ip", family, "rule", "add", "pref", "32766", "lookup", "main")
        with captured(lab.exits["uplink"], "uplink") as packets:
            assert way(FAR[4], timeout=0.3) == "TimeoutError"
            assert way(FAR[6], timeout=0.3) == "TimeoutError"
            connection.sendall(b"more")
            time.sleep(0.3)
        assert packets == []


def test_while_the_tunnel_is_away_nothing_goes_out(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    for family in ("-4", "-6"):
        run_here("ip", family, "route", "add", "unreachable", "default", "metric", "4278198272", "table", str(US))
    run_here("ip", "link", "set", "wg-up-1", "down")
    with captured(lab.exits["uplink"], "uplink") as packets:
        for far in FAR.values():
            assert way(far, timeout=0.3) == "TimeoutError"
            with pytest.raises(OSError, match=r"No route|unreachable"):
                ask(far, 9)
    assert packets == []


@pytest.mark.parametrize("server", ["198.51.100.53", "2001:db8:53::53", "192.168.9.9"])
def test_own_questions_are_answered_by_our_dnsmasq_wherever_they_are_sent(
    gateway: NamespaceSystem, lab: Lab, backend: str, server: str
) -> None:
    """By UDP and TCP; dnsmasq's own go out as they are. Without wg0 they are refused at once and stay here."""
    ours = "fdcc::1" if ":" in server else "10.8.0.1"
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp, socket.create_server((ours, 53), family=family) as tcp:
        udp.bind((ours, 53))
        udp.settimeout(PATIENCE)
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(PATIENCE)
            asking.connect((server, 53))
            asking.send(b"question")
            udp.sendto(b"answer", udp.recvfrom(100)[1])
            assert asking.recv(100) == b"answer"
        with socket.create_connection((server, 53), PATIENCE) as connection:
            accepted, _ = tcp.accept()
            accepted.sendall(b"answer")
            assert connection.recv(100) == b"answer"
            accepted.close()
    program = f"import socket; socket.socket({int(family)}, 2).sendto(b'dnsmasq', ('{server}', 53))"
    with captured(lab.exits["uplink"], "uplink") as packets:
        run_here("setpriv", "--reuid", "dnsmasq", "--clear-groups", sys.executable, "-c", program)
    assert [packet[-7:] for packet in packets] == [b"dnsmasq"]
    run_here("ip", "link", "delete", "wg0")
    with captured(lab.exits["uplink"], "uplink") as packets:
        assert refused_at_once(server, 53)
    assert packets == []


def test_a_question_that_goes_on_where_those_before_it_went_is_refused(
    gateway: NamespaceSystem, lab: Lab, backend: str
) -> None:
    """Conntrack knows the port from before the policy, so that nothing leads it to our dnsmasq."""
    bring(gateway, backend, the_sets(), dataclasses.replace(the_section(backend), host=None))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("198.51.100.53", 53))
        asking.settimeout(PATIENCE)
        asking.send(b"before")
        with pytest.raises(ConnectionRefusedError):
            asking.recv(1)  # nobody answers there, and says so
        bring(gateway, backend, the_sets(), the_section(backend))
        with captured(lab.exits["uplink"], "uplink") as packets, pytest.raises(OSError, match="not permitted"):
            asking.send(b"after")
    assert packets == []


def test_questions_by_a_family_in_which_our_dnsmasq_has_no_address_are_refused(
    gateway: NamespaceSystem, lab: Lab, backend: str
) -> None:
    section = dataclasses.replace(the_section(backend), host=dataclasses.replace(SECOND, resolvers=("10.8.0.1",)))
    bring(gateway, backend, the_sets(), section)
    with captured(lab.exits["uplink"], "uplink") as packets:
        assert way("2001:db8:53::53", 53, timeout=10) == "ConnectionRefusedError"
    assert packets == []
    assert marks.plan(section, marks.read(gateway, section, backend)) == ()


@contextlib.contextmanager
def answering(lab: Lab, name: str) -> Iterator[list[str]]:
    """Answer datagrams at port 7 of an exit with its name while the body runs; collect who asked."""
    peers: list[str] = []
    with lab.exits[name].entered():
        server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        server.bind(("::", 7))
    server.settimeout(PATIENCE)

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                _, ancillary, _, peer = server.recvmsg(2000, 200)
                peers.append(peer[0].removeprefix("::ffff:"))
                server.sendmsg([name.encode()], ancillary, 0, peer)  # from the address that was asked

    threading.Thread(target=answer, daemon=True).start()
    yield peers
    server.close()
