# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients without WireGuard: judged by real packets of hosts on a LAN, in both backends."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import traffic
from namespaces import Namespace, NamespaceSystem, Network, run_here
from traffic import (
    BACKENDS,
    BIT,
    BLOCK,
    CLIENTS,
    EU,
    MASK,
    PATIENCE,
    US,
    Lab,
    bring,
    captured,
    lab,
    learn,
    the_marks,
    the_sets,
)

from splitway.reconcile import marks, routes
from splitway.state import LanNetwork, Marks, Routes, Rule, mark_of

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)

# Two LANs of clients, and hosts on the first that are none.
OFFICE, KIDS, STRANGER = ("192.168.50.7", "fd50::7"), ("192.168.50.130", "fd50:1::7"), ("192.168.60.9", "fd60::9")
GARAGE = ("192.168.70.7", "fd70::7")
NETWORKS = (
    LanNetwork("lan0", "192.168.50.128/25", 1),
    LanNetwork("lan0", "192.168.50.0/24", 2),
    LanNetwork("lan1", "192.168.70.0/24", 1),
    LanNetwork("lan0", "fd50:1::/64", 1),
    LanNetwork("lan0", "fd50::/64", 2),
    LanNetwork("lan1", "fd70::/64", 1),
)
FAR = ("203.0.113.8", "2001:db8:5::1")
"""Where the second policy leads by its default, us; and the first directly."""


@dataclasses.dataclass
class Lans:
    """A gateway with two LANs beside its wg0."""

    lab: Lab
    office: Namespace
    garage: Namespace

    def way(self, host: Namespace, source: str, destination: str, port: int = 80) -> str:
        """Return what answers a new connection from one of a host's addresses, "" when nothing does."""
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with host.entered(), socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(0.7)
            with contextlib.suppress(OSError):
                connection.bind((source, 0))
                connection.connect((destination, port))
                connection.settimeout(PATIENCE)
                return connection.recv(100).decode()
        return ""


@pytest.fixture
def lans(lab: Lab, network: Network) -> Lans:
    office, garage = network.host("office"), network.host("garage")
    ours = ("192.168.50.1/24", "192.168.60.1/24", "fd50::1/64", "fd50:1::1/64", "fd60::1/64")
    theirs = ("192.168.50.7/24", "192.168.50.130/24", "192.168.60.9/24", "fd50::7/64", "fd50:1::7/64", "fd60::9/64")
    network.connect(office, "lan0", ours, theirs)
    network.connect(garage, "lan1", ("192.168.70.1/24", "fd70::1/64"), ("192.168.70.7/24", "fd70::7/64"))
    internet = lab.exits["uplink"]
    internet.run("ip", "route", "add", "192.168.50.0/24", "via", "10.90.0.1")
    internet.run("ip", "address", "add", f"{FAR[0]}/32", "dev", "lo")
    # Strict validation, as some hosts have it.
    for interface in ("lan0", "lan1", "all"):
        Path(f"/proc/sys/net/ipv4/conf/{interface}/rp_filter").write_text("1", encoding="ascii")
    Path("/proc/sys/net/ipv4/conf/all/src_valid_mark").write_text("1", encoding="ascii")
    for interface in ("wg-up-1", "wg-up-2", "wg0"):
        Path(f"/proc/sys/net/ipv4/conf/{interface}/rp_filter").write_text("2", encoding="ascii")
    return Lans(lab, office, garage)


STATIC = {**traffic.NETWORKS, "sw4s": (*traffic.SPECIAL[4], "192.168.0.0/16")}


def the_section(backend: str) -> Marks:
    return dataclasses.replace(the_marks(backend, STATIC), lan=NETWORKS)


def the_rules() -> Routes:
    guard = Rule(5000, "unreachable", mark=0, mask=BIT)
    rules = [dataclasses.replace(guard, iif="wg0")]
    for entry in NETWORKS:
        family = 6 if ":" in entry.network else 4
        rules.append(dataclasses.replace(guard, iif=entry.interface, source=entry.network, family=family))
        rules.append(Rule(5020, "goto", target=5040, destination=entry.network, family=family))
        rules += [
            Rule(5010, "goto", target=5030, iif=interface, destination=entry.network, family=family)
            for interface in ("wg0", "lan0", "lan1")
        ]
    rules += [Rule(5030, "lookup", table=number, mark=mark_of(number, MASK), mask=MASK) for number in (BLOCK, US, EU)]
    return Routes(rules=(*rules, Rule(5040, "nop")))


def bring_all(system: NamespaceSystem, backend: str) -> None:
    section = the_rules()
    routes.apply(system, routes.plan(section, routes.read(system, section)))
    bring(system, backend, the_sets(networks=STATIC), the_section(backend))


def test_lan_clients_take_the_way_of_their_network_s_policy(system: NamespaceSystem, lans: Lans, backend: str) -> None:
    bring_all(system, backend)
    learn(backend, "sw4d2", "192.0.2.2")
    learn(backend, "sw6d2", "2001:db8:9::2")
    ways = {
        (lans.office, OFFICE[0], FAR[0]): "wg-up-1",
        (lans.office, OFFICE[1], FAR[1]): "wg-up-1",
        (lans.office, OFFICE[0], "198.51.100.2"): "wg-up-2",
        (lans.office, KIDS[0], FAR[0]): "uplink",  # the smaller network decides
        (lans.office, KIDS[1], FAR[1]): "uplink",
        (lans.office, KIDS[0], "192.0.2.2"): "wg-up-2",
        (lans.office, KIDS[1], "2001:db8:9::2"): "wg-up-2",
        (lans.garage, GARAGE[0], "198.51.100.2"): "wg-up-1",
        (lans.garage, GARAGE[1], FAR[1]): "uplink",
        (lans.office, OFFICE[0], "169.254.169.254"): "",
    }
    assert {way: lans.way(*way) for way in ways} == ways
    assert lans.lab.way(FAR[0], CLIENTS[4][1]) == "wg-up-1", "clients behind wg0 as before"
    wanted = the_section(backend)
    assert marks.plan(wanted, marks.read(system, wanted, backend)) == ()
    section = the_rules()
    assert routes.plan(section, routes.read(system, section)) == ()
    section = Routes()
    routes.apply(system, routes.plan(section, routes.read(system, section)))
    assert "192.168.50" not in run_here("ip", "rule") + run_here("ip", "-6", "rule"), "rules with networks are ours"


def test_what_a_rule_leads_to_a_lan_by_another_way_takes_that_way(
    system: NamespaceSystem, lans: Lans, backend: str
) -> None:
    bring_all(system, backend)

    def way(number: int, interface: str, source: str, destination: str) -> str:
        asked = (
            "ip",
            "route",
            "get",
            destination,
            "from",
            source,
            "iif",
            interface,
            "mark",
            hex(mark_of(number, MASK)),
        )
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        found = re.search(r" dev (\S+)", done.stdout)
        return found[1] if found else done.stderr.strip()

    for interface, source in (("wg0", CLIENTS[4][1]), ("lan1", GARAGE[0])):
        assert way(0, interface, source, OFFICE[0]) == "lan0"
        assert way(US, interface, source, OFFICE[0]) == "wg-up-1"
        assert way(BLOCK, interface, source, OFFICE[0]) == "RTNETLINK answers: Permission denied", "prohibited"


def test_other_hosts_on_the_lan_are_left_alone(system: NamespaceSystem, lans: Lans, backend: str) -> None:
    bring_all(system, backend)
    for source, destination in zip(STRANGER, FAR):
        with captured(lans.lab.exits["uplink"], "uplink") as packets, lans.office.entered():
            family = socket.AF_INET6 if ":" in source else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.bind((source, 0))
                sender.sendto(b"theirs", (destination, 9))
        # As it was: forwarded by the host's own routes, with its own address.
        assert [packet for packet in packets if socket.inet_pton(family, source) in packet[:40]]


@pytest.mark.parametrize("guard", ["rules", "chains"])
def test_either_guard_alone_keeps_lan_clients_from_leaking(
    system: NamespaceSystem, lans: Lans, backend: str, guard: str
) -> None:
    bring_all(system, backend)
    if guard == "rules":
        for family in ("-4", "-6"):
            run_here("ip", family, "rule", "flush")
            run_here("ip", family, "rule", "add", "pref", "32766", "lookup", "main")
    elif backend == "nftables":
        run_here("nft", "flush", "ruleset")
    else:
        for family in ("iptables", "ip6tables"):
            for table in ("mangle", "nat"):
                run_here(family, "-t", table, "-F")
    with captured(lans.lab.exits["uplink"], "uplink") as packets:
        assert [lans.way(lans.office, source, far) for source, far in zip(OFFICE, FAR)] == ["", ""]
    assert packets == []


def test_a_lan_client_hears_at_once_that_its_tunnel_is_gone(system: NamespaceSystem, lans: Lans, backend: str) -> None:
    bring_all(system, backend)
    for family in ("-4", "-6"):
        run_here("ip", family, "route", "add", "unreachable", "default", "metric", "4278198272", "table", str(US))
    run_here("ip", "link", "delete", "wg-up-1")
    with captured(lans.lab.exits["uplink"], "uplink") as packets:
        for source, far in zip(OFFICE, FAR):
            family = socket.AF_INET6 if ":" in source else socket.AF_INET
            with lans.office.entered(), socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(5)
                connection.bind((source, 0))
                with pytest.raises(OSError, match=r"unreachable|No route"):
                    connection.connect((far, 80))
    assert packets == []


def test_what_goes_on_between_the_networks_stays_as_it_was(system: NamespaceSystem, lans: Lans, backend: str) -> None:
    bring_all(system, backend)
    between = {  # who asks, whom, and whom the one that is asked sees
        (lans.office, OFFICE[0], lans.garage, GARAGE[0]): OFFICE[0],
        (lans.office, OFFICE[1], lans.garage, GARAGE[1]): OFFICE[1],
        (lans.garage, GARAGE[0], lans.office, KIDS[0]): GARAGE[0],
        (lans.office, OFFICE[0], lans.lab.client, CLIENTS[4][1]): OFFICE[0],
        (lans.lab.client, CLIENTS[4][1], lans.office, OFFICE[0]): "192.168.50.1",
        (lans.lab.exits["uplink"], "10.90.0.2", lans.office, OFFICE[0]): "10.90.0.2",
    }
    seen = {}
    for asking, source, asked, destination in between:
        with served(asked) as peers:
            answered = lans.way(asking, source, destination, 8080) == "here"
        seen[asking, source, asked, destination] = peers[0] if answered else "nobody"
    assert list(seen.values()) == list(between.values())


def test_a_forwarded_port_of_a_lan_client_answers_where_it_was_asked(
    system: NamespaceSystem, lans: Lans, backend: str
) -> None:
    """Its policy leads elsewhere; the answers belong to a connection that another began."""
    bring_all(system, backend)
    run_here("nft", "add table ip stranger")
    run_here("nft", "add chain ip stranger ports { type nat hook prerouting priority -100; }")
    run_here("nft", f"add rule ip stranger ports iifname uplink tcp dport 8080 dnat to {OFFICE[0]}")
    with served(lans.office):
        assert lans.way(lans.lab.exits["uplink"], FAR[0], "10.90.0.1", 8080) == "here"


def test_our_dnsmasq_answers_nobody_on_a_lan_but_clients(system: NamespaceSystem, lans: Lans, backend: str) -> None:
    bring_all(system, backend)
    with socket.create_server(("::", 53), family=socket.AF_INET6, dualstack_ipv6=True):
        reached = {}
        for source, gateway in (
            (OFFICE[0], "192.168.50.1"),
            (OFFICE[1], "fd50::1"),
            (STRANGER[0], "192.168.60.1"),
            (STRANGER[1], "fd60::1"),
        ):
            family = socket.AF_INET6 if ":" in source else socket.AF_INET
            with lans.office.entered(), socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(0.5)
                connection.bind((source, 0))
                reached[source] = connection.connect_ex((gateway, 53)) == 0
    assert reached == {OFFICE[0]: True, OFFICE[1]: True, STRANGER[0]: False, STRANGER[1]: False}


@contextlib.contextmanager
def served(host: Namespace) -> Iterator[list[str]]:
    """Answer "here" at port 8080 of a host while the body runs; collect who asked."""
    peers: list[str] = []
    with host.entered():
        listener = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, peer = listener.accept()
                peers.append(peer[0].removeprefix("::ffff:"))
                with connection, contextlib.suppress(ConnectionError):  # who only tries does not wait for it
                    connection.sendall(b"here")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield peers
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()
