# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that name countries, with packets: the data of the host decides, and new data takes its place in between."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from namespaces import NamespaceSystem, run_here, wait_for
from test_daemon import agent
from test_groups import KEY, Gateway, goes_on
from traffic import BACKENDS, CLIENTS, Lab, lab

from splitway.agent import control
from splitway.agent.healing.generation import Generation
from splitway.agent.moments import Moments
from splitway.applying import rehearse
from splitway.compiler import compile_state
from splitway.countries import kept
from splitway.countries.refresh import refresh
from splitway.present import present
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.sections import RECONCILERS
from splitway.state import CountryData, CountrySource, mark_of
from splitway.topology import parse

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)
ONE, ONE6 = CLIENTS[4][0], CLIENTS[6][0]
HOME, HOME6 = "198.51.100.1", "2001:db8:100::1"  # in the country, at first
STAYS = "198.51.100.200"  # in it by all data
MOVED, ABROAD, ABROAD6 = "203.0.113.1", "192.0.2.77", "2001:db8:200::1"
ALWAYS = "1.0.0.0/16,cn\n2001:db8:100::/48,cn\n192.0.2.64/28,hk\n"
BEFORE = ALWAYS + "198.51.100.0/24,cn\n"
AFTER = ALWAYS + "203.0.113.0/24,cn\n198.51.100.128/25,cn\n198.51.101.0/24,cn\n"
DEBIAN = Path("/usr/share/tor")


def topology(backend: str, *countries: str, **more: Any) -> dict[str, Any]:
    """Return an operator's variables: of alice, what is in the country goes directly, all else by `us`."""
    tunnel = {"endpoint": "192.0.2.9:51820", "public_key": KEY, "addresses": ["10.64.0.2", "fd64::2"]}
    return {
        "splitway_backend": backend,
        "splitway_server": {"addresses": ["10.8.0.1/16", "fdcc::1/64"]},
        "splitway_upstreams": [{"name": "us", **tunnel}, {"name": "eu", **tunnel}],
        "splitway_policies": {
            "split": {"rules": [{"country": list(countries) or ["cn"], "egress": "direct"}], "default": "us"}
        },
        "splitway_clients": [{"name": "alice", "addresses": [ONE, ONE6], "policy": "split"}],
        **more,
    }


def learn(system: NamespaceSystem, folder: Path, text: str, *countries: str) -> str:
    """Have the host read this data; return what is wrong with it."""
    (folder / "geo.csv").write_text(text)
    data = CountryData((CountrySource(str(folder / "geo.csv"), "csv"),))
    return refresh(system, data, countries or ("cn",), system.now()).problem


def moments(gateway: Gateway) -> Moments:
    made = Moments(gateway.store, Generation(gateway.store))
    assert not made.differs()
    return made


def in_order(gateway: Gateway) -> bool:
    """Return whether a comparison finds nothing to change."""
    state = present(gateway.store, gateway.state)
    return not [change for name in ("routes", "sets", "marks") for change in changes_of(gateway, name, state)]


def changes_of(gateway: Gateway, section: str, state: Any) -> tuple[Any, ...]:
    found: tuple[Any, ...] = RECONCILERS[section].changes(gateway.system, state)
    return found


def test_country_decides_the_way(system: NamespaceSystem, lab: Lab, backend: str, tmp_path: Path) -> None:
    learn(system, tmp_path, BEFORE, "cn", "hk")
    gateway = Gateway(system, lab, topology(backend))
    assert [lab.way(HOME), lab.way(MOVED), lab.way(ABROAD)] == ["uplink", "wg-up-1", "wg-up-1"]
    found = lab.marks(system, [(ONE6, HOME6), (ONE6, ABROAD6)])
    assert found == [gateway.mark("direct"), gateway.mark("us")]
    assert in_order(gateway)
    # A country without IPv6 beside it: its set of that family is empty.
    gateway.run(topology(backend, "cn", "hk"))
    assert [lab.way(HOME), lab.way(MOVED), lab.way(ABROAD)] == ["uplink", "wg-up-1", "uplink"]
    assert lab.marks(system, [(ONE6, ABROAD6)]) == [gateway.mark("us")]
    assert in_order(gateway)
    gateway.run(topology(backend, "hk"))
    assert [lab.way(HOME), lab.way(ABROAD)] == ["wg-up-1", "uplink"]
    assert in_order(gateway)


def test_new_data_takes_its_place_while_packets_flow(
    system: NamespaceSystem, lab: Lab, backend: str, tmp_path: Path
) -> None:
    """What leaves the country goes over, its flows end; all else goes on, and no packet ever goes a third way."""
    learn(system, tmp_path, BEFORE)
    gateway = Gateway(system, lab, topology(backend))
    clock = moments(gateway)
    stop, ways = threading.Event(), Counter[tuple[str, str]]()

    def keep_asking() -> None:
        while not stop.is_set() or ways[STAYS, "uplink"] < 5:
            for destination in (HOME, MOVED, STAYS, ABROAD):
                ways[destination, lab.way(destination)] += 1

    with (
        contextlib.closing(lab.open(HOME)) as leaves,
        contextlib.closing(lab.open(STAYS)) as direct,
        contextlib.closing(lab.open(ABROAD)) as tunnelled,
        contextlib.closing(lab.open(MOVED)) as comes,
    ):
        assert [flow.recv(100) for flow in (leaves, direct, tunnelled, comes)] == [
            *(b"uplink", b"uplink", b"wg-up-1", b"wg-up-1")
        ]
        asking = threading.Thread(target=keep_asking)
        asking.start()
        try:
            for text in (AFTER, BEFORE, AFTER):
                assert learn(system, tmp_path, text) == ""
                assert clock.differs()
                clock.go_over()
                assert not clock.differs()
        finally:
            stop.set()
            asking.join()
        assert in_order(gateway)
        assert [lab.way(HOME), lab.way(MOVED), lab.way(STAYS), lab.way(ABROAD)] == [
            *("wg-up-1", "uplink", "uplink", "wg-up-1")
        ]
        assert goes_on(direct)
        assert goes_on(tunnelled)
        assert not goes_on(leaves)
        assert not goes_on(comes)
    print(dict(ways))
    # A connection that begins at the moment of the change may be ended with those that move: it then has no answer.
    assert {way for destination, way in ways if destination == STAYS} == {"uplink"}
    assert {way for destination, way in ways if destination == ABROAD} == {"wg-up-1"}
    assert {way for destination, way in ways if destination in (HOME, MOVED)} <= {"uplink", "wg-up-1", ""}


def test_what_cannot_be_believed_moves_nothing(system: NamespaceSystem, lab: Lab, backend: str, tmp_path: Path) -> None:
    learn(system, tmp_path, BEFORE)
    gateway = Gateway(system, lab, topology(backend))
    clock = moments(gateway)
    with contextlib.closing(lab.open(HOME)) as flow:
        assert flow.recv(100) == b"uplink"
        for text in ("", "<html>", "192.0.2.64/28,hk\n", "198.51.100.0/24,cn\n2001:db8:100::/48,cn\n"):
            assert learn(system, tmp_path, text) != ""
            assert not clock.differs()
        (kept.folder(system) / "cn.json").unlink()
        assert not clock.differs()
        assert goes_on(flow)
        assert [lab.way(HOME), lab.way(MOVED)] == ["uplink", "wg-up-1"]
        assert in_order(gateway)
    # The next good data makes the file anew.
    assert learn(system, tmp_path, AFTER) == ""
    assert clock.differs()
    clock.go_over()
    assert [lab.way(HOME), lab.way(MOVED)] == ["wg-up-1", "uplink"]


def test_no_packet_goes_directly_that_must_not(system: NamespaceSystem, lab: Lab, backend: str, tmp_path: Path) -> None:
    """Datagrams abroad and at home, all the time: each arrives, and at the right exit."""
    learn(system, tmp_path, BEFORE)
    gateway = Gateway(system, lab, topology(backend))
    clock = moments(gateway)
    stop, sent = threading.Event(), Counter[tuple[str, str]]()
    for name in ("uplink", "wg-up-1", "wg-up-2"):
        lab.exits[name].run("nft", "add table ip seen; add chain ip seen in { type filter hook input priority 0; }")
        for destination in (ABROAD, STAYS):
            lab.exits[name].run("nft", f"add rule ip seen in ip daddr {destination} udp dport 9 counter")

    def keep_sending() -> None:
        while not stop.is_set():
            lab.send([(ONE, ABROAD), (ONE, STAYS)])
            sent.update((("wg-up-1", ABROAD), ("uplink", STAYS)))

    sending = threading.Thread(target=keep_sending)
    sending.start()
    try:
        for text in (AFTER, BEFORE) * 3:
            assert learn(system, tmp_path, text) == ""
            assert clock.differs()
            clock.go_over()
    finally:
        stop.set()
        sending.join()
    wait_for(lambda: sum(seen(lab).values()) >= sum(sent.values()), "what is on its way")
    assert +seen(lab) == sent
    assert sent["uplink", STAYS] > 20
    assert in_order(gateway)


def seen(lab: Lab) -> Counter[tuple[str, str]]:
    """Return exit and destination → the packets that came there."""
    found: Counter[tuple[str, str]] = Counter()
    for name, host in lab.exits.items():
        with host.entered():
            listed = json.loads(run_here("nft", "-j", "list", "table", "ip", "seen"))
        for entry in listed["nftables"]:
            if "rule" in entry:
                match, _, counter = entry["rule"]["expr"]
                found[name, match["match"]["right"]] = counter["counter"]["packets"]
    return found


def test_the_running_agent_takes_notice(system: NamespaceSystem, lab: Lab, backend: str, tmp_path: Path) -> None:
    learn(system, tmp_path, BEFORE)
    Gateway(system, lab, topology(backend))
    with agent(system), contextlib.closing(lab.open(HOME)) as leaves, contextlib.closing(lab.open(STAYS)) as stays:
        assert (leaves.recv(100), stays.recv(100)) == (b"uplink", b"uplink")
        learn(system, tmp_path, AFTER)
        wait_for(lambda: lab.way(HOME) == "wg-up-1", "the agent to take notice")
        wait_for(lambda: not goes_on(leaves), "the end of what went directly")
        assert goes_on(stays)
        assert control.ask(system, "status")["drift"]["failures"] == {}


def test_without_data_the_rehearsal_says_so(system: NamespaceSystem, lab: Lab, backend: str, tmp_path: Path) -> None:
    learn(system, tmp_path, BEFORE)
    gateway = Gateway(system, lab, topology(backend))
    state = compile_state(parse(topology(backend, "jp")), gateway.state.numbers)
    with pytest.raises(ReconcileError, match="country jp: there is no data of it on this host"):
        rehearse(gateway.store, state)
    assert [lab.way(HOME), lab.way(MOVED)] == ["uplink", "wg-up-1"]


@pytest.mark.skipif(not (DEBIAN / "geoip").exists(), reason="needs Debian's package tor-geoipdb")
def test_debians_data_of_a_large_country(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    data = CountryData((CountrySource(str(DEBIAN / "geoip")), CountrySource(str(DEBIAN / "geoip6"))))
    refresh(system, data, ("cn",), system.now())
    gateway = Gateway(system, lab, topology(backend))
    assert in_order(gateway)
    country = kept.country_data(system, "cn")
    chance = random.Random(7)
    for family, client in ((4, ONE), (6, ONE6)):
        networks = [ipaddress.ip_network(text) for text in country.networks[family]]
        print(f"IPv{family}: {len(networks)} networks")
        inside, outside = [], []
        while len(inside) < 40 or len(outside) < 40:
            network = chance.choice(networks)
            inside.append(network[chance.randrange(network.num_addresses)])
            near = (network.network_address - 1, network.broadcast_address + 1)
            outside += [address for address in near if not any(address in other for other in networks)][:1]
        found = lab.marks(system, [(client, str(address)) for address in inside[:40] + outside[:40]])
        direct, us = gateway.mark("direct"), mark_of(gateway.number("us"), 0x3FFF)
        assert found == [direct] * 40 + [us] * 40
