# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned names for real: clients are answered with addresses that live, which the sets have before.

The uplink and the exits are the whole Internet each (traffic.py); each has a name server. What dies there is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from namespaces import Namespace, NamespaceSystem, run_here, wait_for, wait_for_addresses
from test_resolver import Answering
from test_split_dns import tunnel, unseen
from traffic import BACKENDS, Lab, captured, lab

from splitway.agent.names import score_file
from splitway.agent.names.journal import Journal, location
from splitway.agent.names.learning import Learning
from splitway.agent.names.pinning import Pinning
from splitway.agent.names.resolver import Limits, Resolver
from splitway.agent.names.warm import Warming
from splitway.agent.names.whom import own_mark
from splitway.compiler import compile_state
from splitway.reconcile import sets
from splitway.reconcile.agent.text import agent_text, places
from splitway.reconcile.dns.text import PINNED, UNIT, paths
from splitway.state import State
from splitway.store import Store
from splitway.topology import parse
from splitway.transaction import begin, bring, commit

__all__ = ["lab"]
INTERVAL, TRIES = 2.0, 3  # seconds, from which a busy machine may keep some of the tries
ONE, TWO, THREE, SIX = "198.51.100.1", "198.51.100.2", "198.51.100.3", "2001:db8:1::1"
DIRECTLY = "203.0.113.7"
ORDINARY = "198.51.100.99"  # what resolvers name after the addresses before have died


def topology(backend: str) -> dict[str, Any]:
    return {
        "splitway_backend": backend,
        "splitway_server": {"addresses": ["10.8.0.1/16", "fdcc::1/64"]},
        "splitway_upstreams": [{"name": "us", "resolvers": ["1.1.1.1"], **tunnel(91)}],
        "splitway_lists": {
            "video": {"domains": ["video.example", "www.video.example"], "pin": True},
            "home": {"domains": ["home.example"], "pin": True},
            "other": {"domains": ["other.example"]},
        },
        "splitway_dns": {"servers": ["192.0.2.53"]},
        "splitway_resolving": {"interval": INTERVAL, "timeout": 1, "port": 80},
        "splitway_clients": [
            {
                "name": "alice",
                "addresses": ["10.8.0.2", "fdcc::2"],
                "rules": [
                    {"list": "video", "egress": "us"},
                    {"list": "home", "egress": "direct"},
                    {"list": "other", "egress": "us"},
                ],
                "default": "direct",
            }
        ],
    }


class Gateway:
    """A gateway as site.yml left it, whose tunnels are the lab's wires, and its agent's part with names."""

    def __init__(self, system: NamespaceSystem, lab: Lab, folder: Path, backend: str, **more: Any) -> None:
        self.system, self.lab, self.store = system, lab, Store(system)
        for family in ("-4", "-6"):
            for table in (99, 101, 102):
                run_here("ip", family, "rule", "delete", "lookup", str(table))
                run_here("ip", family, "route", "flush", "table", str(table))
            run_here("ip", family, "rule", "delete", "pref", "5000")
        self.far = self.name_server(lab.exits["wg-up-1"], folder / "far.json", "1.1.1.1")
        lab.exits["wg-up-1"].run("ip", "address", "add", f"{SIX}/128", "dev", "wg-up-1", "nodad")  # it has a neighbour
        wait_for_addresses(lab.exits["wg-up-1"].run, "wg-up-1", SIX)
        self.near = self.name_server(lab.exits["uplink"], folder / "near.json", "192.0.2.53")
        self.far.set(
            zones={"video.example": [ONE, TWO, THREE, SIX], "www.video.example": [TWO], "other.example": [ONE]}
        )
        self.near.set(zones={"home.example": [DIRECTLY]})
        self.state = compile_state(parse({**topology(backend), **more}), {})
        begin(self.store, "run")
        for section in ("routes", "sets", "dns", "marks"):
            bring(self.store, section, getattr(self.state, section), backend=backend, transaction="run", purge=True)
        commit(self.store, "run", self.state.numbers)
        self.publish(self.state)

    @staticmethod
    def name_server(host: Namespace, file: Path, address: str) -> Answering:
        host.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        host.run("nft", "add table inet dead; add set inet dead v4 { type ipv4_addr; }")
        host.run(
            "nft",
            "add set inet dead v6 { type ipv6_addr; }; add chain inet dead in { type filter hook input priority 0; }",
        )
        host.run("nft", "add rule inet dead in ip daddr @v4 drop; add rule inet dead in ip6 daddr @v6 drop")
        return Answering(host, file, address)

    def publish(self, state: State) -> None:
        self.state = state
        self.store.publish(dataclasses.replace(self.store.generation(), agent=state.agent, server=state.server))

    def kill(self, *addresses: str) -> None:
        for address in addresses:
            self.lab.exits["wg-up-1"].run("nft", f"add element inet dead v{6 if ':' in address else 4} {{ {address} }}")

    def revive(self) -> None:
        self.lab.exits["wg-up-1"].run("nft", "flush set inet dead v4; flush set inet dead v6")

    def ask(self, name: str, kind: str = "A") -> list[str]:
        """Return what a client is answered, nothing when it is not."""
        out = self.lab.client.run("dig", "@10.8.0.1", "+short", "+tries=1", "+time=10", name, kind, check=False)
        return [line for line in out.splitlines() if not line.startswith(";")]  # dig's own words

    def pinned(self, name: str) -> list[str]:
        """Return the IPv4 addresses that dnsmasq is told, none while a client is answered with others."""
        with contextlib.suppress(FileNotFoundError):
            lines = [line.split() for line in (paths(self.system).pinned / PINNED).read_text().splitlines()]
            told = [line[0] for line in lines if line[1] == name and ":" not in line[0]]
            return told if told == self.ask(name) else []
        return []

    def members(self, comment: str, family: int = 4) -> set[str]:
        """Return the addresses in a list's learned set."""
        names = [item.name for item in self.state.sets if item.timeout is not None and item.comment == comment]
        found = sets.read_learned(self.system, self.state.backend)
        return {entry for name in names if name[2] == str(family) for entry in found[name].remaining()}

    @contextlib.contextmanager
    def agent(self, warm: bool = False) -> Iterator[Pinning]:
        """Have names resolved and pinned while the body runs."""
        made: list[Pinning] = []
        ended: list[Callable[[], object]] = []

        async def run() -> None:
            learning = Learning(self.store, Journal(location(self.system)))
            learning.configure(self.state)
            resolver = Resolver()
            assert self.state.agent is not None
            resolver.configure(Limits(timeout=self.state.agent.resolving.timeout / 1000, mark=own_mark(self.state)))
            pinning = Pinning(self.store, learning, resolver, lambda: (self.state, frozenset()))
            pinning.configure(self.state)
            if warm:
                warming = Warming(self.system, learning, resolver)
                warming.configure(self.state)
            work = asyncio.gather(learning.run(asyncio.to_thread), pinning.run(asyncio.to_thread))
            loop = asyncio.get_running_loop()
            ended.append(lambda: loop.call_soon_threadsafe(work.cancel))
            made.append(pinning)
            try:
                await work
            except asyncio.CancelledError:
                pinning.close()
                learning.close()

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        try:
            wait_for(lambda: made, "the agent")
            yield made[0]
        finally:
            for end in ended:
                end()
            thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that dnsmasq's user may read; pytest closes its own, whenever another session of it begins."""
    with tempfile.TemporaryDirectory(prefix="splitway-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def gateway(system: NamespaceSystem, lab: Lab, tmp_path: Path, backend: str) -> Gateway:
    return Gateway(system, lab, tmp_path, backend)


both = pytest.mark.parametrize("backend", BACKENDS)
one = pytest.mark.parametrize("backend", ["ipset"])


@both
def test_the_sets_have_what_clients_are_answered_with_before_they_are(gateway: Gateway) -> None:
    lab = gateway.lab
    with gateway.agent():

        def all_pinned() -> bool:
            assert set(gateway.ask("video.example")) <= gateway.members("list video")
            return len(gateway.pinned("video.example")) == 3

        def in_order() -> bool:
            """Return whether clients are always answered with the best first; which one that is, may change."""
            found = gateway.pinned("video.example")
            return len(found) == 3 and all(gateway.ask("video.example") == found for _ in range(5))

        wait_for(all_pinned, "the pinned addresses", 60)
        assert gateway.members("list video") == {ONE, TWO, THREE}
        assert gateway.ask("video.example", "AAAA") == [SIX]
        assert gateway.members("list video", 6) == {SIX}
        wait_for(in_order, "an order that stays")
        assert gateway.ask("www.video.example") == [TWO]
        assert gateway.ask("home.example") == [DIRECTLY]
        for address in (ONE, TWO, THREE, SIX):
            assert (address, lab.way(address)) == (address, "wg-up-1")
        assert lab.way(DIRECTLY) == "uplink"


def replaced(gateway: Gateway, living: set[str]) -> float:
    """Kill the first of those that live; return the seconds until clients are answered with the others alone."""
    first = gateway.ask("video.example")[0]
    living.remove(first)
    gateway.kill(first)
    began = time.monotonic()
    wait_for(lambda: set(gateway.ask("video.example")) == living, "the others", 60)
    return time.monotonic() - began


@both
def test_one_that_dies_is_replaced_within_an_interval(gateway: Gateway) -> None:
    with gateway.agent():
        for _ in range(TRIES):
            wait_for(lambda: len(gateway.pinned("video.example")) == 3, "the pinned addresses", 60)
            living = {ONE, TWO, THREE}
            took = [replaced(gateway, living) for _ in range(2)]
            gateway.revive()
            wait_for(lambda: len(gateway.ask("video.example")) == 3, "those that live again", 60)
            if max(took) <= INTERVAL + 0.2:
                break
        print(f"{gateway.state.backend}: dead addresses are replaced after {took} s of {INTERVAL}")
        assert max(took) <= INTERVAL + 0.2


@one
def test_where_none_lives_and_when_the_agent_ends_names_are_resolved_as_others(gateway: Gateway) -> None:
    with gateway.agent():
        wait_for(lambda: len(gateway.pinned("video.example")) == 3, "the pinned addresses")
        gateway.far.set(zones={"video.example": [ORDINARY]})
        gateway.kill(ONE, TWO, THREE, ORDINARY)
        wait_for(lambda: gateway.ask("video.example") == [ORDINARY], "what the resolver says", 60)
        gateway.revive()
        wait_for(lambda: ONE in gateway.ask("video.example"), "one that is known and lives again", 60)
    assert gateway.ask("video.example") == [ORDINARY]
    assert gateway.ask("www.video.example", "AAAA") == []
    assert gateway.ask("home.example") == [DIRECTLY]


@one
def test_neither_a_question_nor_a_try_leaves_outside_of_the_tunnel(gateway: Gateway) -> None:
    lab = gateway.lab
    addresses = {bytes(map(int, address.split("."))) for address in (ONE, TWO, THREE)}
    gateway.far.set(delay=1.2, zones={"*": [ONE, TWO, THREE]})  # answers come late: errors go back to the resolver
    secret = unseen(lab, "video.example", "www.video.example", "other.example")
    with secret, captured(lab.exits["uplink"], "uplink") as packets, gateway.agent(warm=True):
        wait_for(lambda: len(gateway.far.asked) > 6, "questions that are asked again")
        gateway.far.set(zones={"*": [ONE, TWO, THREE]})
        wait_for(lambda: len(gateway.pinned("video.example")) == 3, "the pinned addresses", 60)
        run_here("ip", "link", "set", "wg-up-1", "down")
        time.sleep(2 * INTERVAL)  # nothing is to happen in that time
        run_here("ip", "link", "delete", "wg-up-1")
        time.sleep(2 * INTERVAL)
    assert any(b"\x04home" in packet for packet in packets), "the capture sees what goes directly"
    assert [packet for packet in packets if packet[0] >> 4 == 4 and packet[16:20] in addresses] == []
    assert any("video.example" in line for line in gateway.far.asked)


@one
def test_warm_sets_before_the_first_client_asks(gateway: Gateway) -> None:
    with gateway.agent(warm=True):
        wait_for(lambda: ONE in gateway.members("list other"), "the address of a name that nobody asked for")
        assert not any("other.example" in line for line in gateway.near.asked)


@one
def test_scores_survive_the_agent(gateway: Gateway) -> None:
    gateway.kill(TWO)
    with gateway.agent() as pinning:
        wait_for(lambda: len(gateway.pinned("video.example")) == 2, "the pinned addresses")
        number = pinning.egress["video.example"]
        first = gateway.ask("video.example")[0]
        wait_for(lambda: pinning.scores[number, first].tried > time.time() - 1, "another try")
    kept = score_file.load(gateway.system)
    assert kept[number, TWO].failures > 0
    assert kept[number, first].failures == 0
    assert kept[number, first].connect is not None
    with gateway.agent() as pinning:
        assert pinning.scores.keys() == kept.keys()
        assert pinning.scores[number, TWO].failures > 0
        wait_for(lambda: len(gateway.pinned("video.example")) == 2, "the pinned addresses")
        assert TWO not in gateway.pinned("video.example")
    score_file.location(gateway.system).write_text("{")
    with gateway.agent():
        wait_for(lambda: len(gateway.pinned("video.example")) == 2, "the pinned addresses")


@one
def test_dnsmasq_that_is_restarted_knows_them_at_once(gateway: Gateway) -> None:
    with gateway.agent():
        wait_for(lambda: len(gateway.pinned("video.example")) == 3, "the pinned addresses")
        before = gateway.ask("video.example")
        gateway.far.set(code="SERVFAIL")
        gateway.system.units.restart(UNIT)
        assert gateway.ask("video.example") == before


@one
def test_what_was_pinned_goes_with_an_agent_that_is_killed(gateway: Gateway) -> None:
    """systemd runs ExecStopPost= however a unit ends; here it is run by hand, after an end without any."""
    told = paths(gateway.system).pinned / PINNED
    with gateway.agent():
        wait_for(lambda: len(gateway.pinned("video.example")) == 3, "the pinned addresses")
        left = told.read_text()
    gateway.far.set(zones={"*": [ORDINARY]})
    told.write_text(left)
    wait_for(lambda: len(gateway.pinned("video.example")) == 3, "what the agent left behind")
    text = agent_text(places(gateway.system))
    run_here(*next(line for line in text.splitlines() if line.startswith("ExecStopPost=")).partition("=")[2].split())
    wait_for(lambda: gateway.ask("video.example") == [ORDINARY], "what the resolver says")


@both
def test_with_a_policy_of_the_gateways_own_direct_names_are_asked_and_tried_directly(
    system: NamespaceSystem, lab: Lab, tmp_path: Path, backend: str
) -> None:
    """The gateway's own connections go through the tunnel, its own questions to dnsmasq; not the agent's."""
    gateway = Gateway(
        system, lab, tmp_path, backend, splitway_host_policy="all", splitway_policies={"all": {"default": "us"}}
    )
    with captured(lab.exits["wg-up-1"], "wg-up-1") as packets, gateway.agent():
        wait_for(lambda: gateway.pinned("home.example") == [DIRECTLY], "the pinned address")
        wait_for(lambda: len(gateway.pinned("video.example")) == 3, "the pinned addresses")
    assert not any(b"\x04home" in packet for packet in packets)
    assert not any(bytes(map(int, DIRECTLY.split("."))) in packet[12:20] for packet in packets)


@one
def test_nothing_is_told_while_the_sets_cannot_have_it(gateway: Gateway) -> None:
    """A run of site.yml has the gateway: what the agent would put into sets waits, and so does what it would tell."""
    told = paths(gateway.system).pinned / PINNED
    with contextlib.ExitStack() as until_told:
        until_told.enter_context(gateway.store.lock())
        with gateway.agent() as pinning:
            wait_for(lambda: len(pinning.scores) == 5, "all addresses to be tried")
            tried = time.time() + INTERVAL
            wait_for(lambda: any(score.tried > tried for score in pinning.scores.values()), "further steps")
            assert not told.exists()
            until_told.close()
            wait_for(lambda: len(gateway.pinned("video.example")) == 3, "the pinned addresses")
