# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of names: what a difference leads to, and what is refused before anything changes."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.reconcile import dns
from splitway.reconcile.base import REMOVE, ReconcileError
from splitway.reconcile.dns.port import Listener, listeners
from splitway.reconcile.dns.text import (
    Paths,
    names_text,
    options_text,
    single_names,
    unit_text,
)
from splitway.state import Dns
from splitway.system import System

WHERE = Paths(
    Path("/etc/splitway/dnsmasq/dnsmasq.conf"), Path("/etc/splitway/dnsmasq/names.conf"), Path("/run/s-dnsmasq")
)
NOTHING = dns.Current(WHERE, version=(2, 90))
LINES = st.lists(st.integers(0, 30).map("ipset=/n{}.example/s".format), unique=True)


def brought(desired: Dns) -> dns.Current:
    """What `apply` makes of any host."""
    options, names = options_text(desired, (2, 90)), names_text(desired)
    return dns.Current(WHERE, options, names, unit_text(WHERE), True, options, names, (2, 90))


def section(*lines: str) -> Dns:
    return Dns("wg0", (), lines)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 3)), unique_by=lambda drawn: drawn[0], max_size=200))
def test_names_share_lines_that_dnsmasq_takes_whole(drawn: list[tuple[int, int]]) -> None:
    lines = [f"ipset=/{'long-' * (number % 11)}{number}.example/a,b,s{holder}" for number, holder in drawn]
    text = names_text(section("server=/a.example/192.0.2.1", *lines))
    assert all(len(line) <= 1024 for line in text.splitlines())
    assert sorted(single_names(text)) == sorted(["server=/a.example/192.0.2.1", *lines])
    full = sum(map(len, lines)) // 1024
    assert len(text.splitlines()) <= 1 + 4 + full


def test_a_name_that_comes_is_all_of_the_difference() -> None:
    lines = [f"ipset=/n{number}.example/s,t,u" for number in range(500)]
    change = dns.plan(section("ipset=/a.example/s,t,u", *lines), brought(section(*lines)))[0]
    assert (change.before, change.after) == ("", "ipset=/a.example/s,t,u")


@given(LINES)
def test_what_is_as_desired_has_no_plan(lines: list[str]) -> None:
    assert dns.plan(section(*lines), brought(section(*lines))) == ()
    assert dns.plan(section(*lines), brought(section(*reversed(lines)))) == ()
    assert dns.plan(None, NOTHING) == ()


@given(LINES, LINES)
def test_a_plan_names_exactly_the_lines_that_differ(before: list[str], after: list[str]) -> None:
    changes = dns.plan(section(*after), brought(section(*before)))
    assert bool(changes) == (set(before) != set(after))
    if changes:
        names, restart = changes
        assert set(names.before.split()) == set(before) - set(after)
        assert set(names.after.split()) == set(after) - set(before)
        assert restart.after == "restarted"


def test_a_long_difference_is_cut() -> None:
    lines = [f"ipset=/n{i}.example/s" for i in range(40_000)]
    names = dns.plan(section(*lines), brought(section()))[0]
    assert len(names.after.splitlines()) == 101
    assert names.after.endswith("… and 39900 more")


@pytest.mark.parametrize(
    "drift",
    [
        {"running": False},
        {"started_names": "ipset=/old/s\n"},
        {"names": "address=/#/\n"},
        {"unit": None},
        {"options": ""},
    ],
)
def test_drift_leads_to_a_restart(drift: dict[str, object]) -> None:
    current = dataclasses.replace(brought(section()), **drift)  # type: ignore[arg-type]
    assert dns.plan(section(), current)[-1].what == "service splitway-dnsmasq.service"


def test_removal() -> None:
    assert [change.action for change in dns.plan(None, brought(section()))] == [REMOVE]


def test_a_line_that_dnsmasq_would_cut_is_refused() -> None:
    line = "ipset=/x.example/" + "a" * (1024 - len("ipset=/x.example/"))
    assert dns.plan(section(line), NOTHING)
    with pytest.raises(ReconcileError, match=r"1025.*ipset=/x.example/a"):
        dns.plan(section(line + "a"), NOTHING)


def test_a_taken_port_matters_only_when_ours_is_to_start() -> None:
    taken = (Listener("tcp", "0.0.0.0", 1),)  # noqa: S104
    with pytest.raises(ReconcileError, match=r"port 53 is taken: .* listens on 0\.0\.0\.0 \(tcp\)"):
        dns.plan(section(), dataclasses.replace(NOTHING, taken=taken))
    assert dns.plan(section(), dataclasses.replace(brought(section()), taken=taken)) == ()


@pytest.mark.parametrize(
    ("address", "conflicts"),
    [("0.0.0.0", True), ("::", True), ("10.8.0.1", True), ("127.0.0.53", False), ("192.168.122.1", False)],  # noqa: S104
)
def test_who_is_in_the_way(address: str, conflicts: bool) -> None:
    assert Listener("udp", address, 1).conflicts(("10.8.0.1", "fdcc::1")) is conflicts


@pytest.mark.skipif(sys.byteorder != "little", reason="the example is of a little-endian host")
def test_the_kernels_tables_are_read() -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    tail = " 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 {} 1 0 100 0 0 10 0\n"
    tables = {
        "tcp": head
        + "   0: 3500007F:0035" + tail.format("0A", 11)
        + "   1: 0100080A:0035" + tail.format("01", 12)  # a connection, not a listener
        + "   2: 00000000:0016" + tail.format("0A", 13),
        "udp6": head + "   0: 0000CCFD000000000000000001000000:0035" + tail.format("07", 14),
    }  # fmt: skip

    class Fake(System):
        def read_file(self, path: Path) -> Optional[str]:
            return tables.get(path.name)

    assert listeners(Fake()) == (Listener("tcp", "127.0.0.53", 11), Listener("udp", "fdcc::1", 14))


@pytest.mark.parametrize("version", [(2, 90), (2, 91), None])
def test_records_are_left_out_of_answers(version: Optional[tuple[int, int]]) -> None:
    assert "filter-rr=HTTPS,SVCB" in options_text(section(), version).splitlines()


def test_a_dnsmasq_that_cannot_leave_records_out_is_refused_unless_it_need_not() -> None:
    with pytest.raises(
        ReconcileError, match=r"dnsmasq 2\.89 cannot leave HTTPS, SVCB out of answers.*filter_https: false"
    ):
        options_text(section(), (2, 89))
    text = options_text(dataclasses.replace(section(), filtered=()), (2, 89))
    assert "filter-rr" not in text
    assert "max-tcp-connections" not in text


def test_pinned_names_are_told_in_a_folder() -> None:
    pinned = dataclasses.replace(section(), pinned_ttl=5, filtered=())
    lines = options_text(pinned, (2, 88), pinned=WHERE.pinned).splitlines()
    assert {f"hostsdir={WHERE.pinned}", "no-round-robin", "local-ttl=5"} <= set(lines)
    assert f"install -d -m 0755 {WHERE.pinned}\n" in unit_text(WHERE, pins=True)
    assert "hostsdir" not in options_text(section(), None)
    assert str(WHERE.pinned) not in unit_text(WHERE)
    with pytest.raises(ReconcileError, match=r"dnsmasq 2\.87 cannot change the addresses of pinned names"):
        options_text(pinned, (2, 87))


def test_servers_or_the_hosts_own() -> None:
    own = options_text(section(), None)
    assert "no-resolv" not in own
    given_servers = options_text(dataclasses.replace(section(), servers=("9.9.9.9", "2620:fe::fe#53")), None)
    assert given_servers.endswith("no-resolv\nserver=9.9.9.9\nserver=2620:fe::fe#53\n")
