# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom names are asked at, for real: a capture behind the uplink sees no question for a name of a tunnel, ever.

The uplink and the exits are the whole Internet each: every resolver of the world is there, and answers with an
address that tells where it was asked.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from namespaces import Namespace, NamespaceSystem, Network, run_here, wait_for, wait_for_addresses
from traffic import BACKENDS, EXITS, Lab, captured, lab

from splitway.agent.figures import dns_statistics
from splitway.agent.upstreams.switch import switch
from splitway.choices import Choice, with_choices
from splitway.compiler import compile_state
from splitway.reconcile.dns.text import UNIT
from splitway.reconcile.sections import RECONCILERS
from splitway.state import State, Way
from splitway.store import Store
from splitway.topology import parse
from splitway.transaction import begin, bring, commit

__all__ = ["lab"]
KEY = "3CWDiHvYvXBr6AdVvELbKUdYUNeWBM3sXrvhiY1zDAk="
TUNNEL = {"endpoint": "192.0.2.9:51820", "public_key": KEY}
ANSWERS = {"uplink": "198.51.100.90", "wg-up-1": "198.51.100.91", "wg-up-2": "198.51.100.92"}
DIRECT, US, EU = ANSWERS.values()
REFUSED = "REFUSED"
TRIES = 5  # a busy machine may keep some of them from what is done at once
RESOLVER6 = "2606:4700:4700::1111"


def tunnel(number: int) -> dict[str, Any]:
    """The wire in place of a tunnel, with its addresses."""
    return {**TUNNEL, "addresses": [f"10.{number}.0.1", f"fd{number}::1"]}


def topology(us: str = "block", **more: Any) -> dict[str, Any]:
    return {
        "splitway_server": {"addresses": ["10.8.0.1/16", "fdcc::1/64"]},
        "splitway_upstreams": [
            {"name": "us", "on_down": us, "resolvers": ["1.1.1.1", "8.8.8.8", RESOLVER6], **tunnel(91)},
            {"name": "eu", "resolvers": ["9.9.9.9"], **tunnel(92)},
        ],
        "splitway_upstream_groups": [{"name": "both", "members": ["us", "eu"], "resolvers": ["8.8.8.8"]}],
        "splitway_lists": {"video": {"domains": ["video.example"]}, "news": {"domains": ["news.example"]}},
        "splitway_dns": {"servers": ["192.0.2.53"], "max_ttl": 1, "cache_size": 0},
        "splitway_clients": [
            {
                "name": "alice",
                "addresses": ["10.8.0.2", "fdcc::2"],
                "rules": [
                    {"domain": "home.video.example", "egress": "direct"},
                    {"list": "video", "egress": "us"},
                    {"list": "news", "egress": "both"},
                ],
            }
        ],
        **more,
    }


class Gateway:
    """The gateway's tables, rules and names by a topology; the tunnels are the lab's wires."""

    def __init__(self, system: NamespaceSystem, lab: Lab, folder: Path) -> None:
        self.system, self.lab = system, lab
        for family in ("-4", "-6"):
            for table in (99, 101, 102):
                run_here("ip", family, "rule", "delete", "lookup", str(table))
                run_here("ip", family, "route", "flush", "table", str(table))
            run_here("ip", family, "rule", "delete", "pref", "5000")
        for name, address in ANSWERS.items():
            # A neighbour is asked for by its own address; IPv4's are all the exits'.
            lab.exits[name].run("ip", "address", "add", f"{RESOLVER6}/128", "dev", name, "nodad")
            wait_for_addresses(lab.exits[name].run, name, RESOLVER6)
            resolver(lab.exits[name], folder / f"{name}.conf", address)

    def run(self, variables: dict[str, Any]) -> State:
        state = compile_state(parse(variables), {})
        self.bring(state)
        return state

    def bring(self, state: State) -> None:
        for section in ("routes", "dns"):
            RECONCILERS[section].apply(self.system, RECONCILERS[section].changes(self.system, state))
            assert RECONCILERS[section].changes(self.system, state) == ()

    def cut(self, interface: str) -> None:
        """Have the kernel forget an interface, as when wireguard-go dies."""
        run_here("ip", "link", "delete", interface)

    def ask(self, name: str, *options: str, server: str = "10.8.0.1") -> str:
        """Return the first answer that a client gets, else the status; `TIMEOUT` without either, in 10 s."""
        out = self.lab.client.run("dig", f"@{server}", "+tries=1", "+time=10", name, *options, check=False)
        found = [line.split()[4] for line in out.splitlines() if line.startswith(name) and "\tA" in line]
        if found:
            return found[0]
        return out.partition("status: ")[2].partition(",")[0] or "TIMEOUT"


def resolver(host: Namespace, configuration: Path, address: str) -> None:
    """Have a host answer every name at every address."""
    for own in ("1.1.1.1", "8.8.8.8", "9.9.9.9", "192.0.2.53", "192.0.2.77"):  # by TCP it answers at its own only
        host.run("ip", "address", "add", f"{own}/32", "dev", "lo")
    configuration.write_text(
        f"port=53\nno-resolv\nno-hosts\nlocal-ttl=1\naddress=/example/{address}\naddress=/example/2001:db8::9\n"
    )
    host.start("dnsmasq", "--keep-in-foreground", f"--conf-file={configuration}", "--pid-file=", "--user=root")
    wait_for(lambda: address in host.run("dig", "@127.0.0.1", "+short", "x.example", check=False), "a resolver")


@pytest.fixture
def gateway(system: NamespaceSystem, lab: Lab, tmp_path: Path) -> Gateway:
    return Gateway(system, lab, tmp_path)


@contextlib.contextmanager
def unseen(lab: Lab, *names: str, interface: str = "uplink") -> Iterator[None]:
    """Fail if a question for one of these names reaches the host behind an interface."""
    with captured(lab.exits[interface], interface) as packets:
        yield
    spelled = [b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) for name in names]
    assert [packet for packet in packets if any(name in packet for name in spelled)] == []


def connect_again(lab: Lab, network: Network, interface: str) -> None:
    """Give the gateway an interface of this name again, as a restarted tunnel."""
    number = EXITS[interface][0]
    network.connect(
        lab.exits[interface],
        interface,
        (f"10.{number}.0.1/24", f"fd{number}::1/64"),
        (f"10.{number}.0.2/24", f"fd{number}::2/64"),
    )
    lab.exits[interface].run("ip", "address", "add", f"{RESOLVER6}/128", "dev", interface, "nodad")
    wait_for_addresses(lab.exits[interface].run, interface, RESOLVER6)
    for family in ("-4", "-6"):
        lab.exits[interface].run("ip", family, "route", "flush", "default")
        lab.exits[interface].run("ip", family, "route", "add", "local", "default", "dev", "lo", "table", "main")


@pytest.mark.parametrize("options", [(), ("+tcp",), ("AAAA",)], ids=["udp", "tcp", "aaaa"])
@pytest.mark.parametrize("server", ["10.8.0.1", "fdcc::1"])
def test_each_name_is_asked_where_its_rule_leads(gateway: Gateway, options: tuple[str, ...], server: str) -> None:
    gateway.run(topology())
    lab = gateway.lab
    with unseen(lab, "video.example", "news.example"), captured(lab.exits["uplink"], "uplink") as clear:
        if "AAAA" in options:
            assert gateway.ask("video.example", *options, server=server) == "2001:db8::9"
        else:
            assert gateway.ask("video.example", *options, server=server) == US
            assert gateway.ask("cdn.video.example", *options, server=server) == US
            assert gateway.ask("news.example", *options, server=server) in (US, EU)
    assert clear == []
    if "AAAA" not in options:
        assert gateway.ask("home.video.example", *options, server=server) == DIRECT
        assert gateway.ask("other.example", *options, server=server) == DIRECT


def refused_within(gateway: Gateway, seconds: float) -> bool:
    """Return whether that takes no longer, by UDP and by TCP."""
    began = time.monotonic()
    assert gateway.ask("video.example") == REFUSED
    assert gateway.ask("video.example", "+tcp") != DIRECT
    return time.monotonic() - began < seconds


def test_no_question_leaves_directly_whatever_becomes_of_the_tunnel(gateway: Gateway, network: Network) -> None:
    lab = gateway.lab
    with unseen(lab, "video.example"):
        # It is not there yet, when dnsmasq starts.
        gateway.cut("wg-up-1")
        state = gateway.run(topology())
        pids = gateway.system.units.pids(UNIT)
        assert any(refused_within(gateway, 1) for _ in range(TRIES))
        # It comes: by the same process, without being told.
        connect_again(lab, network, "wg-up-1")
        gateway.bring(state)
        assert gateway.ask("video.example") == US
        # It is down.
        run_here("ip", "link", "set", "wg-up-1", "down")
        assert gateway.ask("video.example") == REFUSED
        run_here("ip", "link", "set", "wg-up-1", "up")
        gateway.bring(state)
        wait_for(lambda: gateway.ask("video.example", "+time=1") == US, "an answer through the tunnel that is up", 40)
        # The exit is dead.
        lab.exits["wg-up-1"].run("ip", "link", "set", "wg-up-1", "down")
        assert gateway.ask("video.example", "+time=1") == "TIMEOUT"
        # It is deleted, and so are our ip rules.
        gateway.cut("wg-up-1")
        run_here("ip", "rule", "delete", "pref", "5010")
        run_here("ip", "-6", "rule", "delete", "pref", "5010")
        assert gateway.ask("cdn.video.example") == REFUSED
        assert gateway.ask("video.example", "AAAA", "+tcp", "+time=2") not in (US, DIRECT, "2001:db8::9")
        connect_again(lab, network, "wg-up-1")
        gateway.bring(state)
        # For ten seconds dnsmasq takes the same question for one that is under way.
        wait_for(lambda: gateway.ask("video.example", "+time=1") == US, "an answer through the tunnel", timeout=40)
        assert gateway.system.units.pids(UNIT) == pids


def test_a_group_is_asked_by_the_way_of_its_flows(gateway: Gateway) -> None:
    lab, state = gateway.lab, gateway.run(topology())
    number, ways = state.numbers["egress:both"], [state.numbers[f"egress:both/{name}"] for name in ("us", "eu")]
    with unseen(lab, "news.example"):
        with unseen(lab, "news.example", interface="wg-up-2"):
            assert [gateway.ask("news.example") for _ in range(3)] == [US] * 3
        lab.exits["wg-up-1"].run("ip", "link", "set", "wg-up-1", "down")
        gateway.bring(with_choices(state, {number: Choice((Way(ways[1]),))}))
        assert [gateway.ask("news.example") for _ in range(3)] == [EU] * 3
        # None is up: what is asked goes nowhere.
        gateway.cut("wg-up-2")
        gateway.bring(with_choices(state, {number: Choice((Way(number),))}))
        assert gateway.ask("www.news.example", "+time=1") in (REFUSED, "TIMEOUT")


def test_names_of_an_upstream_that_is_switched_off_are_asked_nowhere(gateway: Gateway) -> None:
    variables = topology()
    variables["splitway_upstreams"][0]["enabled"] = False
    gateway.run(variables)
    with contextlib.ExitStack() as stack:
        for interface in EXITS:
            stack.enter_context(unseen(gateway.lab, "video.example", interface=interface))
        assert gateway.ask("video.example") == "NXDOMAIN"
        assert gateway.ask("www.video.example", "AAAA") == "NXDOMAIN"
    assert gateway.ask("home.video.example") == DIRECT


def test_on_down_direct_asks_directly_while_it_is_down_and_only_then(gateway: Gateway) -> None:
    state = gateway.run(topology(us="direct"))
    assert gateway.ask("video.example") == US
    number = state.numbers["egress:us"]
    eu = Choice((Way(state.numbers["egress:both/eu"]),))
    chosen = with_choices(state, {number: Choice((Way(number),), direct=True), state.numbers["egress:both"]: eu})
    gateway.cut("wg-up-1")
    gateway.bring(chosen)
    assert gateway.ask("video.example") == DIRECT
    assert gateway.ask("news.example") == EU


def test_direct_names_have_resolvers_of_their_own(gateway: Gateway) -> None:
    gateway.run(topology(splitway_dns={"servers": ["192.0.2.53"], "direct": ["192.0.2.77"], "max_ttl": 1}))
    asked = {}
    for name in ("home.video.example", "other.example"):
        with captured(gateway.lab.exits["uplink"], "uplink") as packets:
            gateway.ask(name)
        asked[name] = {".".join(map(str, packet[16:20])) for packet in packets if name.split(".")[0].encode() in packet}
    assert asked == {"home.video.example": {"192.0.2.77"}, "other.example": {"192.0.2.53"}}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_switch_of_the_agents_takes_the_names_along(gateway: Gateway, backend: str) -> None:
    store, lab = Store(gateway.system), gateway.lab
    begin(store, "run")
    state = compile_state(parse(topology(us="direct", splitway_backend=backend)), {})
    for section in ("routes", "sets", "dns", "marks"):
        bring(store, section, getattr(state, section), backend=backend, transaction="run", purge=True)
    commit(store, "run", state.numbers)
    number = state.numbers["egress:us"]
    with unseen(lab, "video.example"):
        assert gateway.ask("video.example") == US
    down = {number: Choice((Way(number),), direct=True)}
    lab.exits["wg-up-1"].run("ip", "link", "set", "wg-up-1", "down")
    began = time.monotonic()
    done = switch(store, {}, down, [number])
    print(f"{backend}: a switch with names {time.monotonic() - began:.2f} s")
    assert {"routes", "marks", "dns"} <= done.changes.keys()
    assert gateway.ask("video.example") == DIRECT
    assert RECONCILERS["dns"].changes(gateway.system, with_choices(state, down)) == ()
    lab.exits["wg-up-1"].run("ip", "link", "set", "wg-up-1", "up")
    switch(store, down, {}, [])
    with unseen(lab, "video.example"):
        wait_for(lambda: gateway.ask("video.example", "+time=1") == US, "an answer through the tunnel", timeout=40)


def test_a_resolver_behind_two_tunnels_is_counted_once(gateway: Gateway) -> None:
    variables = topology()
    variables["splitway_upstreams"][1]["resolvers"] = ["1.1.1.1"]
    variables["splitway_clients"][0]["rules"].append({"domain": "eu.example", "egress": "eu"})
    gateway.run(variables)
    assert [gateway.ask("video.example"), gateway.ask("eu.example")] == [US, EU]
    counted = dns_statistics.ask("10.8.0.1")
    assert counted is not None
    addresses = [server.address for server in counted.servers]
    assert sorted(set(addresses)) == sorted(addresses)
    assert "1.1.1.1#53" in addresses
