# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers to clients, seen on the wire, and the sets that get back what they owe: for real, on both backends."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import Namespace, NamespaceSystem, Network, run_here, wait_for
from test_dns import GATEWAY, WEB, ask, client, reconcile
from traffic import BACKENDS

from splitway.agent.names import learned
from splitway.agent.names.answers import Answer, Answers
from splitway.agent.names.journal import Journal
from splitway.agent.names.learned import Names
from splitway.agent.names.learning import Learning
from splitway.compiler.names import line
from splitway.reconcile import sets
from splitway.reconcile.dns.text import UNIT
from splitway.state import AddressSet, Agent, Device, Dns, State
from splitway.store import Store
from splitway.transaction import bring

__all__ = ["client"]
both = pytest.mark.parametrize("backend", BACKENDS)
RETENTION = 600
LISTS = {"video.example": (1,), "other.example": (2,), "many.example": (2,)}


def generation(backend: str, lists: dict[str, tuple[int, ...]]) -> State:
    lines = tuple(line(domain, numbers, backend) for domain, numbers in sorted(lists.items()))
    timeout = RETENTION + 100 if backend == "ipset" else 2 * RETENTION
    wanted = tuple(AddressSet(f"sw{family}d{number}", family, timeout) for family in (4, 6) for number in (1, 2))
    return State(backend, sets=wanted, dns=Dns("wg0", (WEB,), lines), agent=Agent("x", retention=RETENTION))


class Gateway:
    """Sets, dnsmasq, and what of the agent has to do with them."""

    def __init__(self, system: NamespaceSystem, client: Namespace, folder: Path, backend: str) -> None:
        self.system, self.client, self.path = system, client, folder / "journal.db"
        self.journal = Journal(self.path)
        self.answers = Answers([f"{address}/24" for address in GATEWAY])
        assert self.answers.bind("wg0")
        self.publish(generation(backend, LISTS))

    def publish(self, state: State) -> None:
        assert state.dns is not None
        self.state, self.names = state, Names(state.dns.lines)
        sets.apply(self.system, sets.plan(state.sets, sets.read(self.system, state.sets, state.backend)))
        if (state.dns, True) != (getattr(self, "dns", None), self.system.units.active(UNIT)):
            self.dns = state.dns
            reconcile(self.system, state.dns)

    def hear(self, *names: str) -> list[Answer]:
        """Return the answers on the wire, when one for each of the names has come; they are noted."""
        found: list[Answer] = []

        def complete() -> bool:
            found.extend(self.answers.read())
            return set(names) <= {answer.name for answer in found}

        wait_for(complete, f"answers for {names} on the wire")
        learned.record(self.journal, self.names, found, time.time())
        return found

    def refresh(self) -> learned.Refilled:
        return learned.refresh(self.system, self.state, self.journal, self.names, time.time())

    def refill(self, only: list[str] | None = None, later: float = 0) -> learned.Refilled:
        return learned.refill(self.system, self.state, self.journal, self.names, time.time() + later, only)

    def members(self) -> dict[str, dict[str, int]]:
        found = sets.read_learned(self.system, self.state.backend)
        return {name: item.remaining() for name, item in found.items() if item.members}

    def flush(self, *names: str) -> None:
        for name in names:
            if self.state.backend == "ipset":
                run_here("ipset", "flush", name)
            else:
                run_here("nft", "flush", "set", "inet", "splitway", name)


@pytest.fixture
def gateway(
    system: NamespaceSystem, client: Namespace, tmp_path_factory: pytest.TempPathFactory, backend: str
) -> Iterator[Gateway]:
    opened = Gateway(system, client, tmp_path_factory.mktemp("agent"), backend)
    yield opened
    opened.answers.close()
    opened.journal.close()


@pytest.mark.parametrize("backend", ["ipset"])
def test_each_answer_to_a_client_is_seen(gateway: Gateway) -> None:
    """UDP and TCP, both families, from the cache, through a CNAME; not what others answer."""
    for number, server in enumerate(GATEWAY):
        for transport in ("+notcp", "+tcp"):
            for name in ("Video.example", "cdn.video.example"):  # the second time from the cache
                ask(gateway.client, name, transport, server=server)
        found = gateway.hear("video.example", "cdn.video.example")
        assert [(answer.name, answer.addresses) for answer in found] == [
            ("video.example", ("198.51.100.1",)),
            ("cdn.video.example", ("198.51.100.3",)),
        ] * 2
        assert {answer.client for answer in found} == {("10.8.0.2", "fdcc::2")[number]}
    ask(gateway.client, "video.example", "AAAA")
    assert gateway.hear("video.example")[0].addresses == ("2001:db8:1::1",)

    # Forwarded: another server's answer, in which ours has no part.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
    assert ask(gateway.client, "video.example", server=WEB) == ["198.51.100.1"]
    ask(gateway.client, "no-such.example")
    ask(gateway.client, "other.example")
    assert [answer.name for answer in gateway.hear("other.example")] == ["other.example"]
    assert gateway.answers.count_dropped() == 0


@pytest.mark.parametrize("backend", ["ipset"])
def test_an_interface_made_anew_is_followed(gateway: Gateway, network: Network) -> None:
    run_here("ip", "link", "delete", "wg0")
    assert not gateway.answers.bind("wg0")
    assert gateway.answers.read() == []
    network.connect(gateway.client, "wg0", ("10.8.0.1/24", "fdcc::1/64"), ("10.8.0.2/24", "fdcc::2/64"))
    assert gateway.answers.bind("wg0")
    assert gateway.answers.bind("wg0")
    wait_for(lambda: ask(gateway.client, "video.example", check=False) == ["198.51.100.1"], "dnsmasq at the new wg0")
    gateway.hear("video.example")


@both
def test_an_emptied_set_gets_back_what_was_answered(gateway: Gateway) -> None:
    for name in ("video.example", "www.video.example", "other.example"):
        for kind in ("A", "AAAA"):
            ask(gateway.client, name, kind)
    gateway.hear("video.example", "www.video.example", "other.example")
    assert gateway.refresh().added == {"sw4d1": 2, "sw6d1": 2, "sw4d2": 1, "sw6d2": 1}
    before = gateway.members()
    gateway.flush("sw4d1", "sw6d2")
    assert gateway.refill(only=["sw4d1"]).added == {"sw4d1": 2}
    gateway.journal.close()
    gateway.journal = Journal(gateway.path)
    refilled = gateway.refill(later=300)  # as if five minutes had passed
    assert refilled.added == {"sw6d2": 1}
    assert refilled.addresses == {"2001:db8:1::4"}
    after = gateway.members()
    assert {name: set(found) for name, found in after.items()} == {name: set(found) for name, found in before.items()}
    assert all(2 * RETENTION - 10 <= left <= 2 * RETENTION for left in after["sw4d1"].values())
    assert all(2 * RETENTION - 310 <= left <= 2 * RETENTION - 300 for left in after["sw6d2"].values())


@both
def test_an_answer_that_nobody_has_read_yet_is_put_back_too(gateway: Gateway) -> None:
    """Answers wait to be read; who takes the sets away just after one must not make its address unlisted."""
    server = Device("server", "wg0", None, tuple(f"{address}/24" for address in GATEWAY), ())
    state = dataclasses.replace(gateway.state, server=server, agent=Agent("x", retention=RETENTION, warm_up=False))
    learning = Learning(Store(gateway.system), gateway.journal)
    learning.configure(state)
    heard: list[Answer] = []
    learning.hear = heard.extend
    ask(gateway.client, "video.example")
    gateway.flush("sw4d1")
    assert learning.refill(state) == 1
    assert set(gateway.members()["sw4d1"]) == {"198.51.100.1"}
    learning._read()
    assert [answer.name for answer in heard] == ["video.example"], "the figures hear of it as well"


@both
def test_a_run_gives_back_what_sets_owe_that_it_makes_anew(gateway: Gateway) -> None:
    """The agent waits for the run to end; a client that tries again must not find its address unlisted before."""
    store = Store(gateway.system)
    store.publish(gateway.state)
    gateway.journal.close()
    gateway.system.data.mkdir(exist_ok=True)
    gateway.journal = Journal(gateway.system.data / "journal.db")
    ask(gateway.client, "video.example")
    gateway.hear("video.example")
    gateway.refresh()
    for item in gateway.state.sets:
        if gateway.state.backend == "ipset":
            run_here("ipset", "destroy", item.name)
        else:
            run_here("nft", "delete", "set", "inet", "splitway", item.name)
    bring(store, "sets", gateway.state.sets, backend=gateway.state.backend, transaction=None, purge=True)
    assert set(gateway.members()["sw4d1"]) == {"198.51.100.1"}


@both
def test_what_dnsmasq_failed_to_add_is_added(gateway: Gateway) -> None:
    """A set that was not there at the moment; or nftset, under load over TCP."""
    ask(gateway.client, "video.example")
    gateway.hear("video.example")
    gateway.flush("sw4d1")
    gateway.refresh()
    assert set(gateway.members()["sw4d1"]) == {"198.51.100.1"}


@both
def test_a_name_that_moves_leaves_its_old_set(gateway: Gateway) -> None:
    for name in ("video.example", "www.video.example", "other.example"):
        ask(gateway.client, name)
    gateway.hear("video.example", "www.video.example", "other.example")
    gateway.refresh()
    gateway.publish(generation(gateway.state.backend, {**LISTS, "www.video.example": (2,)}))
    refilled = gateway.refill()
    assert (refilled.added, refilled.removed) == ({"sw4d2": 1}, {"sw4d1": 1})
    there = {name: set(found) for name, found in gateway.members().items()}
    assert there == {"sw4d1": {"198.51.100.1"}, "sw4d2": {"198.51.100.2", "198.51.100.4"}}


@both
def test_what_was_learned_without_the_agent_survives_a_reboot(gateway: Gateway) -> None:
    ask(gateway.client, "video.example")
    gateway.refill()  # the journal has not heard of it
    gateway.flush("sw4d1")
    gateway.journal.close()
    gateway.journal = Journal(gateway.path)
    assert gateway.refill().added == {"sw4d1": 1}
    left = gateway.members()["sw4d1"]["198.51.100.1"]
    whole = next(item.timeout for item in gateway.state.sets)
    assert whole is not None
    assert whole - 10 <= left <= whole


@both
def test_refill_of_many(gateway: Gateway) -> None:
    """20,000 pairs: what it takes is printed, never asserted."""
    now = time.time()
    for index in range(20_000):
        gateway.journal.note(f"n{index}.many.example", (f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}",), now)
    started = time.monotonic()
    gateway.refresh()
    print(f"{gateway.state.backend}: 20,000 new pairs: {time.monotonic() - started:.2f} s")
    for what in ("unchanged", "after a flush"):
        if what == "after a flush":
            gateway.flush("sw4d2")
        started = time.monotonic()
        refilled = gateway.refill()
        print(f"{gateway.state.backend}: refill of 20,000 pairs, {what}: {time.monotonic() - started:.2f} s")
    assert refilled.added == {"sw4d2": 20_000}
    assert len(gateway.members()["sw4d2"]) == 20_000
