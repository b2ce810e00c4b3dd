# SPDX-License-Identifier: GPL-3.0-or-later
"""Our dnsmasq's own statistics, and what it says when it cannot add to a set."""

from __future__ import annotations

import time

import pytest
from namespaces import Namespace, NamespaceSystem, Network, run_here
from test_dns import WEB, client_of_names

from splitway.agent.figures.dns_statistics import Server, ask, failed_sets
from splitway.reconcile import dns
from splitway.reconcile.dns.text import UNIT
from splitway.state import Dns

NAMES = """\
no-resolv
no-hosts
bind-interfaces
listen-address=10.90.0.9
local-ttl=300
host-record=video.example,198.51.100.1,2001:db8:1::1
host-record=full.example,198.51.100.2
host-record=old.example,198.51.100.3
"""


@pytest.fixture
def client(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    """A client behind wg0, and a name server that plays the Internet."""
    return client_of_names(network, tmp_path_factory.mktemp("web") / "web.conf", NAMES)


def bring(system: NamespaceSystem, *lines: str) -> None:
    desired = Dns("wg0", (WEB,), lines)
    dns.apply(system, dns.plan(desired, dns.read(system, desired)))


def resolve(client: Namespace, *names: str) -> None:
    for name in names:
        assert client.run("dig", "@10.8.0.1", "+short", name).split()


@pytest.mark.parametrize("server", ["10.8.0.1", "fdcc::1"])
def test_what_dnsmasq_counts(system: NamespaceSystem, client: Namespace, server: str) -> None:
    bring(system)
    before = ask(server, timeout=10)
    assert before is not None
    resolve(client, "video.example", "full.example", "video.example", "video.example")
    began = time.perf_counter()
    after = ask(server, timeout=10)
    took = time.perf_counter() - began
    assert after is not None
    assert (after.misses - before.misses, after.insertions - before.insertions) == (2, 2)
    # Our own questions are hits, too: seven each time.
    assert after.hits - before.hits in range(2, 10)
    assert (after.cache_size, after.evictions) == (10_000, 0)
    assert after.servers == (Server(f"{WEB}#53", before.servers[0].asked + 2, 0),)
    assert 0 < after.latency < took


def test_a_dnsmasq_that_does_not_answer(system: NamespaceSystem, client: Namespace) -> None:
    assert ask("10.8.0.1", timeout=0.2) is None
    assert ask("10.77.0.1", timeout=0.2) is None, "no way there"


def test_failed_additions_are_in_the_log(system: NamespaceSystem, client: Namespace) -> None:
    run_here("nft", "add", "table", "inet", "splitway")
    run_here("nft", "add", "set", "inet", "splitway", "sw4d2", "{ type ipv4_addr; size 1; }")
    run_here("nft", "add", "element", "inet", "splitway", "sw4d2", "{ 192.0.2.1 }")
    bring(
        system,
        "nftset=/video.example/4#inet#splitway#sw4d1,6#inet#splitway#sw6d1",
        "nftset=/full.example/4#inet#splitway#sw4d2",
        # Nothing is said of these, which is why the journal looks for itself.
        "ipset=/old.example/sw4d3",
    )
    log = system.plain_units.folder / f"{UNIT}.log"
    # A plain process logs to its own stderr, as to the journal on a host.
    system.units.stop(UNIT)
    where = dns.read(system, Dns("wg0", (WEB,), ())).where
    arguments = (f"--conf-file={where.options}", f"--conf-file={where.names}", f"--log-facility={log}")
    run_here("dnsmasq", *arguments, f"--pid-file={log}.pid", "--user=root")
    try:
        resolve(client, "video.example", "full.example", "old.example")
        client.run("dig", "@10.8.0.1", "+short", "video.example", "AAAA")
        assert failed_sets(log.read_text()) == {"sw4d1": 1, "sw4d2": 1, "sw6d1": 1}
    finally:
        run_here("kill", log.with_name(f"{log.name}.pid").read_text().strip())
