# SPDX-License-Identifier: GPL-3.0-or-later
"""Policy routing against the real kernel: from nothing, drift, strangers, packets, removal."""

from __future__ import annotations

import dataclasses
import json
import socket
from typing import Optional

import pytest
from namespaces import Namespace, NamespaceSystem, Network, ReadOnlySystem, run_here, wait_for

from splitway.reconcile import routes
from splitway.reconcile.base import REMOVE, ReconcileError, additions, removals
from splitway.state import Routes, Rule, Table, mark_of

MASK = 0x3FFF
US, EU, BLOCK = 101, 102, 103


def desired() -> Routes:
    """Two upstreams, one of them for IPv4 only, and `block`."""
    return Routes(
        tables=(
            Table(US, "us", "wg-up-1"),
            Table(EU, "eu", "wg-up-2", families=(4,)),
            Table(BLOCK, "block", None, floor="prohibit"),
        ),
        rules=(
            Rule(5000, "unreachable", mark=0, mask=0x2000, iif="wg0"),
            Rule(5010, "lookup", table=US, oif="wg-up-1"),
            Rule(5010, "lookup", table=EU, oif="wg-up-2"),
            Rule(5020, "goto", target=5040, mark=mark_of(0, MASK), mask=MASK),
            Rule(5030, "lookup", table=US, mark=mark_of(US, MASK), mask=MASK),
            Rule(5030, "lookup", table=EU, mark=mark_of(EU, MASK), mask=MASK),
            Rule(5030, "lookup", table=BLOCK, mark=mark_of(BLOCK, MASK), mask=MASK),
            Rule(5040, "nop"),
        ),
    )


@pytest.fixture
def web(network: Network) -> Namespace:
    """Two upstreams and the direct way, all to one host; wg0 to nobody yet."""
    host = network.host("web")
    network.connect(host, "uplink", ("10.90.0.1/24", "fd90::1/64"), ("10.90.0.2/24", "fd90::2/64"))
    network.connect(host, "wg-up-1", ("10.64.1.1/24", "fd64:1::1/64"), ("10.64.1.2/24", "fd64:1::2/64"))
    network.connect(host, "wg-up-2", ("10.64.2.1/24", "fd64:2::1/64"), ("10.64.2.2/24", "fd64:2::2/64"))
    for name in ("uplink", "wg-up-1", "wg-up-2"):  # the Internet, at the end of each wire
        host.run("ip", "address", "add", "198.51.100.1/32", "dev", name)
        host.run("ip", "address", "add", "2001:db8:99::1/128", "dev", name, "nodad")
    run_here("ip", "route", "add", "default", "via", "10.90.0.2")
    run_here("ip", "-6", "route", "add", "default", "via", "fd90::2")
    wires = ("ip", "-6", "route", "show", "table", "local")
    wait_for(lambda: run_here(*wires).count("local fe80:") == 3, "the wires to be up", 10)
    return host


def changes_of(system: NamespaceSystem, section: Routes) -> tuple[str, ...]:
    return tuple(change.what for change in routes.plan(section, routes.read(system, section)))


def bring(system: NamespaceSystem, section: Routes) -> None:
    """Plan, apply, and see that nothing is left to do."""
    routes.apply(system, routes.plan(section, routes.read(system, section)))
    assert changes_of(system, section) == ()


def way(family: int, mark: int, *selectors: str) -> str:
    """Return the interface a packet with this mark would leave by, or what refuses it."""
    address = "198.51.100.1" if family == 4 else "2001:db8:99::1"
    argv = ("ip", f"-{family}", "-j", "route", "get", address, "mark", f"{mark:#x}", *selectors)
    try:
        found = json.loads(run_here(*argv))[0]
    except AssertionError as refused:
        return str(refused).rpartition("answers: ")[2].strip()
    return str(found.get("dev") if found.get("type", "unicast") == "unicast" else found["type"])


def test_from_nothing_every_mark_has_its_way_and_a_second_plan_is_empty(
    system: NamespaceSystem, web: Namespace
) -> None:
    bring(system, desired())
    for family in (4, 6):
        assert way(family, mark_of(0, MASK)) == "uplink"
        assert way(family, mark_of(US, MASK)) == "wg-up-1"
        assert way(family, 0x10000 | mark_of(US, MASK)) == "wg-up-1", "bits of others do not matter"
        assert way(family, mark_of(BLOCK, MASK)) == "Permission denied"
        assert way(family, 0, "oif", "wg-up-1") == "wg-up-1"
        assert way(family, 0) == "uplink", "packets of the gateway itself are not guarded"
    assert way(4, mark_of(EU, MASK)) == "wg-up-2"
    assert way(6, mark_of(EU, MASK)) in ("No route to host", "Network is unreachable")
    assert system.sysctl("net/ipv4/ip_forward") == system.sysctl("net/ipv6/conf/all/forwarding") == "1"


def test_check_mode_writes_nothing_and_tells_what_the_run_then_does(
    system: NamespaceSystem, read_only: ReadOnlySystem, web: Namespace
) -> None:
    foretold = changes_of(read_only, desired())
    done = routes.plan(desired(), routes.read(system, desired()))
    assert foretold == tuple(change.what for change in done)
    kinds = [what.split()[0] for what in foretold]
    assert (kinds.count("route"), kinds.count("rule")) == (2 * 3 + 3, 2 * 8)
    assert kinds[-1] == "parameter", "forwarding comes last"


DRIFT = {
    "a rule": "ip rule del pref 5030 fwmark 0x2065/0x3fff",
    "the guard, v6": "ip -6 rule del pref 5000",
    "the anchor": "ip rule del pref 5040",
    "a route": "ip route del default dev wg-up-1 table 101",
    "a route, v6": "ip -6 route del default dev wg-up-1 table 101",
    "a floor": "ip route del unreachable default table 102",
    "a floor, v6": "ip -6 route del unreachable default metric 4278198272 table 102",
    "another floor": "ip route replace throw default metric 4278198272 table 101 protocol 83",
    "another way": "ip route replace default dev uplink table 101 protocol 83",
    "a rule too many": "ip rule add pref 5035 fwmark 0x2070/0x3fff lookup 112 protocol 83",
    "a table too many": "ip route add unreachable default table 112 metric 4278198272 protocol 83",
    "a strange route of our protocol": "ip route add 1.2.3.0/24 via 10.90.0.2 table 101 protocol 83",
    "forwarding": "sysctl -q -w net.ipv4.ip_forward=0",
    "all rules": "ip rule flush",
    "a table": "ip route flush table 101",
}


@pytest.mark.parametrize("command", DRIFT.values(), ids=DRIFT)
def test_drift_is_planned_and_repaired(system: NamespaceSystem, web: Namespace, command: str) -> None:
    bring(system, desired())
    run_here(*command.split())
    assert changes_of(system, desired())
    bring(system, desired())
    assert way(4, mark_of(US, MASK)) == way(6, mark_of(US, MASK)) == "wg-up-1"


def test_without_its_interface_only_the_floor_is_there_and_the_route_comes_back(
    system: NamespaceSystem, web: Namespace
) -> None:
    bring(system, desired())
    run_here("ip", "link", "del", "wg-up-1")
    for family in (4, 6):
        assert way(family, mark_of(US, MASK)) in ("No route to host", "Network is unreachable")
    bring(system, desired())
    run_here("ip", "link", "add", "wg-up-1", "type", "veth", "peer", "name", "peer-1")
    assert changes_of(system, desired()) == (), "it is not up yet"
    run_here("ip", "link", "set", "wg-up-1", "up")
    assert len(changes_of(system, desired())) == 2
    bring(system, desired())
    assert way(4, mark_of(US, MASK)) == "wg-up-1"


def test_an_interface_without_ipv6_leaves_the_v6_floor_alone(system: NamespaceSystem, web: Namespace) -> None:
    run_here("sysctl", "-q", "-w", "net.ipv6.conf.wg-up-1.disable_ipv6=1")
    bring(system, desired())
    assert way(4, mark_of(US, MASK)) == "wg-up-1"
    assert way(6, mark_of(US, MASK)) in ("No route to host", "Network is unreachable")


def snapshot() -> str:
    return "".join(
        run_here("ip", f"-{family}", *argv)
        for family in (4, 6)
        for argv in (("rule",), ("route", "show", "table", "all"))
    )


STRANGERS = {
    "a route in our table": ("ip route add 1.0.0.0/8 via 10.90.0.2 table 101", "table 101 .egress us. already holds"),
    "a v6 route": ("ip -6 route add 2001:db8::/32 dev uplink table 102", "table 102 .egress eu. already holds"),
    "a mark of ours before ours": ("ip rule add pref 100 fwmark 0x2065 lookup 77", "priority 100 .*with our marks"),
    "half of our mark": ("ip rule add pref 100 fwmark 0x65/0xff lookup 77", "priority 100 .*with our marks"),
    "all but its own mark": ("ip rule add pref 100 not fwmark 0xca6c lookup 77", "priority 100 .*with our marks"),
    "in our range": ("ip -6 rule add pref 5025 from 2001:db8::/32 lookup 77", "priority 5025 .v6.*in our range"),
}


@pytest.mark.parametrize(("command", "message"), STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_in_our_way_is_named_and_nothing_changes(
    system: NamespaceSystem, web: Namespace, command: str, message: str
) -> None:
    run_here(*command.split())
    before = snapshot()
    with pytest.raises(ReconcileError, match=message):
        changes_of(system, desired())
    assert snapshot() == before


def test_strangers_that_are_not_in_our_way_stay(system: NamespaceSystem, web: Namespace) -> None:
    for command in (
        "ip rule add pref 100 fwmark 0x80000/0xff0000 lookup 52",  # Tailscale's
        "ip rule add pref 101 fwmark 0x4000/0x4000 lookup 77",  # kube-proxy's
        "ip rule add pref 32764 not fwmark 0xca6c lookup 51820",  # wg-quick's
        "ip route add default dev uplink table 51820",
        "ip rule add pref 5040 type nop",  # exactly ours: adopted
    ):
        run_here(*command.split())
    before = set(snapshot().splitlines())
    bring(system, desired())
    bring(system, Routes())
    assert set(snapshot().splitlines()) == before


def test_removal_leaves_the_host_as_it_was(system: NamespaceSystem, web: Namespace) -> None:
    run_here("sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1")
    before = snapshot()
    bring(system, desired())
    bring(system, Routes())
    assert snapshot() == before
    assert system.sysctl("net/ipv4/ip_forward") == "0"
    assert system.sysctl("net/ipv6/conf/all/forwarding") == "1", "it was on before us"
    assert system.list_files(system.configuration) == ()


def test_an_egress_goes_rules_first_and_only_at_the_removals(system: NamespaceSystem, web: Namespace) -> None:
    bring(system, desired())
    whole = desired()
    less = Routes(
        tables=tuple(table for table in whole.tables if table.number != EU),
        rules=tuple(rule for rule in whole.rules if rule.table != EU),
    )
    changes = routes.plan(less, routes.read(system, less))
    routes.apply(system, additions(changes))
    assert way(4, mark_of(EU, MASK)) == "wg-up-2"
    kinds = [change.what.split()[0] for change in removals(changes)]
    assert kinds == sorted(kinds, reverse=True), "rules before routes"
    routes.apply(system, removals(changes))
    assert changes_of(system, less) == ()
    assert way(4, mark_of(US, MASK)) == "wg-up-1"


def test_a_line_that_the_kernel_refuses_is_shown(system: NamespaceSystem, web: Namespace) -> None:
    changes = routes.plan(desired(), routes.read(system, desired()))
    run_here("ip", "link", "del", "wg-up-1")  # between plan and apply
    with pytest.raises(ReconcileError, match=r"ip -4 route replace default dev wg-up-1 table 101 .*Cannot find device"):
        routes.apply(system, changes)


def test_an_uplink_that_lives_on_router_advertisements_keeps_them(system: NamespaceSystem, web: Namespace) -> None:
    run_here("ip", "-6", "route", "add", "default", "via", "fd90::2", "metric", "50", "proto", "ra")
    assert system.sysctl("net/ipv6/conf/uplink/accept_ra") == "1"
    changes = changes_of(system, desired())
    assert changes.index("parameter net/ipv6/conf/uplink/accept_ra") < changes.index(
        "parameter net/ipv6/conf/all/forwarding"
    )
    bring(system, desired())
    assert system.sysctl("net/ipv6/conf/uplink/accept_ra") == "2"
    bring(system, Routes())
    assert system.sysctl("net/ipv6/conf/uplink/accept_ra") == "1"


# --- real packets ---


class Traffic:
    """A client behind wg0 sends to an address that every way leads to; the web host says which way it came."""

    def __init__(self, network: Network, web: Namespace) -> None:
        self.client = network.host("client")
        network.connect(self.client, "wg0", ("10.8.0.1/24", "fd08::1/64"), ("10.8.0.2/24", "fd08::2/64"))
        self.web = web
        for name in ("all", "default", "wg0", "uplink", "wg-up-1", "wg-up-2"):
            run_here("sysctl", "-q", "-w", f"net.ipv4.conf.{name}.rp_filter=0")
            if name != "wg0":
                web.run("sysctl", "-q", "-w", f"net.ipv4.conf.{name}.rp_filter=0")

    def mark(self, mark: Optional[int]) -> None:
        """Mark everything that comes in from the client."""
        run_here("nft", "flush", "ruleset")
        if mark is not None:
            rule = f"add rule inet m p iifname wg0 meta mark set {mark:#x}"
            run_here(
                "nft", "add table inet m; add chain inet m p { type filter hook prerouting priority -150; }; " + rule
            )

    def way(self, family: int) -> str:
        """Return the interface by which a datagram of the client reaches the web host; "" if none does."""
        kind, address = (socket.AF_INET, "198.51.100.1") if family == 4 else (socket.AF_INET6, "2001:db8:99::1")
        with self.web.entered():
            taps = {}
            for name in ("uplink", "wg-up-1", "wg-up-2"):
                if name in run_here("ip", "-o", "link"):
                    taps[name] = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(3))
                    taps[name].bind((name, 3))
                    taps[name].setblocking(False)
        with self.client.entered(), socket.socket(kind, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"splitway-test", (address, 9))
        seen = [""]

        def arrived() -> bool:
            for name, tap in taps.items():
                while True:
                    try:
                        if b"splitway-test" in tap.recv(2000):
                            seen[0] = name
                            return True
                    except BlockingIOError:
                        break
            return False

        try:
            wait_for(arrived, "the datagram", timeout=0.3)
        except AssertionError:
            pass
        for tap in taps.values():
            tap.close()
        return seen[0]


def test_packets_take_the_way_of_their_mark_and_unmarked_ones_none(
    system: NamespaceSystem, network: Network, web: Namespace
) -> None:
    traffic = Traffic(network, web)
    bring(system, desired())
    for family in (4, 6):
        for mark, expected in (
            (None, ""),
            (mark_of(0, MASK), "uplink"),
            (mark_of(US, MASK), "wg-up-1"),
            (mark_of(BLOCK, MASK), ""),
        ):
            traffic.mark(mark)
            assert traffic.way(family) == expected, (family, mark)
    run_here("ip", "link", "set", "wg-up-1", "down")
    for family in (4, 6):
        traffic.mark(mark_of(US, MASK))
        assert traffic.way(family) == "", "nothing leaves where the tunnel is gone"


def test_without_any_rule_nothing_leaves(system: NamespaceSystem, network: Network, web: Namespace) -> None:
    traffic = Traffic(network, web)
    bring(system, desired())
    run_here("ip", "rule", "flush")  # it takes the rule of the main table along
    run_here("ip", "-6", "rule", "flush")
    run_here("ip", "link", "del", "wg-up-1")
    for mark in (None, mark_of(0, MASK), mark_of(US, MASK)):
        traffic.mark(mark)
        assert traffic.way(4) == traffic.way(6) == ""


def test_clients_are_unreachable_while_their_interface_is_away(
    system: NamespaceSystem, network: Network, web: Namespace
) -> None:
    """What the gateway has to tell them, with their question in it, is not the uplink's."""
    section = dataclasses.replace(desired(), kept=("10.8.0.0/24", "fd08::/64", "10.9.0.1/32"))
    bring(system, section)
    clients = ("10.8.0.2", "fd08::2")
    assert not any(map(_reached, (*clients, "10.9.0.1")))
    Traffic(network, web)
    assert ["dev wg0" in _reached(client) for client in clients] == [True, True]
    run_here("ip", "link", "delete", "wg0")
    assert not any(map(_reached, clients))
    bring(system, desired())
    assert "dev uplink" in run_here("ip", "route", "get", "10.8.0.2")


def _reached(address: str) -> str:
    return run_here("sh", "-c", f"ip route get {address} 2>/dev/null || true")


def test_a_floor_that_throws_leads_on_to_the_direct_way(
    system: NamespaceSystem, network: Network, web: Namespace
) -> None:
    traffic = Traffic(network, web)
    section = desired()
    direct = dataclasses.replace(section.tables[0], floor="throw")
    section = dataclasses.replace(section, tables=(direct, *section.tables[1:]))
    bring(system, section)
    traffic.mark(mark_of(US, MASK))
    assert traffic.way(4) == "wg-up-1"
    run_here("ip", "link", "set", "wg-up-1", "down")
    assert traffic.way(4) == traffic.way(6) == "uplink"


def test_two_hundred_tables_are_read_planned_and_applied(system: NamespaceSystem) -> None:
    section = Routes(
        tables=tuple(Table(number, f"u{number}", None) for number in range(1001, 1201)),
        rules=tuple(
            Rule(5030, "lookup", table=number, mark=mark_of(number, MASK), mask=MASK) for number in range(1001, 1201)
        ),
    )
    bring(system, section)
    assert [c for c in routes.plan(Routes(), routes.read(system, Routes())) if c.action != REMOVE] == []
    bring(system, Routes())
