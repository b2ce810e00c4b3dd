# SPDX-License-Identifier: GPL-3.0-or-later
"""The promise of retention, in a time of the tests' own: with a model of both backends' kernels and of dnsmasq."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.agent.names import learned
from splitway.agent.names.answers import Answer
from splitway.agent.names.journal import Journal
from splitway.agent.names.learned import Names, local_names
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.sets.model import KernelSet
from splitway.state import AddressSet, Agent, Dns, State
from splitway.system import System

RETENTION, CACHE = 600, 100  # seconds
WORDS = st.sampled_from(["a", "b", "c", "aa"])
DOMAINS = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(".".join), max_size=12)


@given(DOMAINS, st.lists(WORDS, min_size=1, max_size=5).map(".".join))
def test_names_are_looked_up_as_dnsmasq_does(domains: list[str], name: str) -> None:
    """dnsmasq's own loop (forward.c, domain_find_sets): the longest line that the name ends with, at a dot."""
    best = ""
    for domain in domains:
        if (name == domain or name.endswith(f".{domain}")) and len(domain) > len(best):
            best = domain
    lines = [f"ipset=/{domain}/sw4d{index},sw6d{index}" for index, domain in enumerate(domains)]
    number = domains.index(best) if best else None
    expected = () if number is None else (f"sw4d{number}", f"sw6d{number}")
    assert Names(lines).look_up(name) == expected


def test_lines_of_both_backends() -> None:
    names = Names(
        ["nftset=/a.example/4#inet#splitway#sw4d1,6#inet#splitway#sw6d1,4#inet#splitway#sw4d7,4#inet#x#other"]
    )
    assert names.sets_of("www.a.example", "192.0.2.1") == ("sw4d1", "sw4d7")
    assert names.sets_of("www.a.example", "2001:db8::1") == ("sw6d1",)
    assert names.sets_of("ba.example", "192.0.2.1") == ()


def test_a_name_in_etc_hosts_is_not_classified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(learned, "HOSTS", tmp_path / "hosts")
    assert local_names(System()) == frozenset()
    (tmp_path / "hosts").write_text("# a\n127.0.0.1 localhost\n\n10.0.0.1\tNas.a.example nas # b c\n", encoding="ascii")
    names = Names(["ipset=/a.example/sw4d1,sw6d1"], local_names(System()))
    assert local_names(System()) == {"localhost", "nas.a.example", "nas"}
    assert names.look_up("nas.a.example") == ()
    assert names.look_up("x.nas.a.example") == ("sw4d1", "sw6d1")


class World:
    """dnsmasq with a cache, a kernel with one backend, and the agent; `now` is its clock."""

    def __init__(self, backend: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backend, self.path, self.now = backend, path, 1_000_000.0
        self.until: dict[tuple[str, str], float] = {}  # the kernel's entries
        self.cached: dict[str, float] = {}
        self.last: dict[tuple[str, str], float] = {}  # (set, address) → the last answer for it
        self.lists = {"a.example": 1, "b.example": 2}
        self.addresses = {
            "a.example": ("192.0.2.1", "2001:db8::1"),
            "www.a.example": ("192.0.2.1", "192.0.2.3"),
            "b.example": ("192.0.2.3", "192.0.2.4"),
        }
        self.journal = Journal(path)
        monkeypatch.setattr(learned.sets, "renew", self.renew)
        monkeypatch.setattr(learned.sets, "read_learned", self.read)

    def renew(
        self, _: object, __: str, added: Mapping[str, Mapping[str, int]], removed: Mapping[str, Iterable[str]]
    ) -> dict[str, int]:
        for name, addresses in added.items():
            for address, left in addresses.items():
                assert 0 < left <= 2 * RETENTION
                self.until[name, address] = self.now + left
        for name, gone in removed.items():
            for address in gone:
                self.until.pop((name, address), None)
        return {}

    def read(self, _: object, __: str) -> dict[str, KernelSet]:
        found = {name: [] for name in self.set_names()}
        for (name, address), until in self.until.items():
            if until > self.now:
                found[name].append(f"{address} timeout {int(until - self.now)}")
        return {name: KernelSet(name, "", tuple(members), 1) for name, members in found.items()}

    def set_names(self) -> list[str]:
        return [f"sw{family}d{number}" for family in (4, 6) for number in (1, 2)]

    @property
    def state(self) -> State:
        lines = tuple(f"ipset=/{name}/sw4d{number},sw6d{number}" for name, number in self.lists.items())
        sets = tuple(AddressSet(name, int(name[2]), 1) for name in self.set_names())
        return State(self.backend, sets=sets, dns=Dns("wg0", (), lines), agent=Agent("x", retention=RETENTION))

    @property
    def names(self) -> Names:
        dns = self.state.dns
        assert dns is not None
        return Names(dns.lines)

    def ask(self, name: str, heard: bool = True) -> None:
        """A client asks: dnsmasq adds unless its cache has the answer; the agent hears the answer."""
        for address in self.addresses[name]:
            for item in self.names.sets_of(name, address):
                self.last[item, address] = self.now
                if self.cached.get(name, 0) > self.now:
                    continue
                if self.backend == "ipset":
                    self.until[item, address] = self.now + RETENTION + CACHE
                elif self.until.get((item, address), 0) <= self.now:
                    self.until[item, address] = self.now + 2 * RETENTION
        if self.cached.get(name, 0) <= self.now:
            self.cached[name] = self.now + CACHE
        if heard:
            answer = Answer("10.8.0.2", name, self.addresses[name])
            learned.record(self.journal, self.names, [answer], self.now)

    def refresh(self) -> learned.Refilled:
        return learned.refresh(System(), self.state, self.journal, self.names, self.now)

    def refill(self, only: list[str] | None = None) -> learned.Refilled:
        return learned.refill(System(), self.state, self.journal, self.names, self.now, only)

    def restart(self) -> None:
        self.refresh()
        self.journal.close()
        self.journal = Journal(self.path)

    def check(self) -> None:
        for key, last in self.last.items():
            there = self.until.get(key, 0) > self.now
            assert there or self.now >= last + RETENTION, f"{key} is gone {self.now - last} s after its last answer"
            assert not there or self.now <= last + 2 * RETENTION, f"{key} is there {self.now - last} s after it"


@pytest.fixture(params=["ipset", "nftables"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(request.param, tmp_path / "journal.db", monkeypatch)


@pytest.mark.parametrize("seed", range(6))
def test_retention_whatever_happens(world: World, seed: int) -> None:
    """Random questions; sets flushed, dnsmasq restarted, the host rebooted."""
    rnd = random.Random(seed)
    for step in range(700):  # of 5 s
        world.now += 5
        quiet = 0.4 if (step // 200) % 2 else 0.02
        for name in world.addresses:
            if rnd.random() < quiet / 5:
                world.ask(name)
        if rnd.random() < 0.02:
            world.cached.clear()
        if rnd.random() < 0.02:
            gone = rnd.choice(world.set_names())
            world.until = {key: until for key, until in world.until.items() if key[0] != gone}
            world.refill([gone])
        if rnd.random() < 0.01:
            world.restart()
            world.until.clear()
            world.refill()
        world.refresh()
        if step % 12 == 0:
            world.refill()
        world.check()
    assert world.last


def test_gone_after_twice_the_retention(world: World) -> None:
    world.ask("a.example")
    for step in range(2 * RETENTION // 5 + 1):
        world.now += 5
        if step == 100:
            world.until.clear()
        world.refresh()
        world.refill()
        world.check()
    assert not [key for key, until in world.until.items() if until > world.now]
    assert list(world.journal.pairs()) == []


def test_a_quiet_gateway_writes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.ask("a.example")
    assert world.refresh().addresses == {"192.0.2.1", "2001:db8::1"}
    before = list(world.journal.pairs())
    world.now += 5
    world.ask("a.example")
    assert world.refresh() == learned.Refilled()
    assert world.refill() == learned.Refilled()
    assert list(world.journal.pairs()) == before


def test_a_name_that_moves_takes_its_addresses_along(world: World) -> None:
    for name in world.addresses:
        world.ask(name)
    world.refresh()
    world.lists = {"a.example": 1, "b.example": 2, "www.a.example": 2}
    world.ask("www.a.example")  # before the agent sees the new generation
    world.refresh()
    changed = world.refill()
    there = {key for key, until in world.until.items() if until > world.now}
    # 192.0.2.1 is a.example's, too; 192.0.2.3 was in the first set for www.a.example only.
    assert there == {
        ("sw4d1", "192.0.2.1"),
        ("sw6d1", "2001:db8::1"),
        ("sw4d2", "192.0.2.1"),
        ("sw4d2", "192.0.2.3"),
        ("sw4d2", "192.0.2.4"),
    }
    assert changed.removed == {"sw4d1": 1}
    assert "192.0.2.3" in changed.addresses
    assert world.refill() == learned.Refilled()


def test_a_name_taken_off_and_put_back(world: World) -> None:
    """Its addresses leave; a minute later they are back, since clients have them still."""
    world.ask("b.example")
    world.refresh()
    lists, world.lists = world.lists, {"a.example": 1}
    assert world.refill().removed == {"sw4d2": 2}
    world.restart()
    world.now += 60
    world.lists = lists
    assert world.refill().added == {"sw4d2": 2}
    world.check()


def test_addresses_that_nobody_knows_the_name_of_survive_a_reboot(world: World) -> None:
    world.ask("b.example", heard=False)
    world.refill()
    world.now += 60
    world.refill()
    world.restart()
    left = {key: until - world.now for key, until in world.until.items()}
    world.until.clear()
    world.now += 30
    assert world.refill().added == {"sw4d2": 2}
    assert {key: until - world.now + 30 for key, until in world.until.items()} == pytest.approx(left, abs=8)
    world.check()
    world.now += 2 * RETENTION
    world.refill()
    assert world.journal.kept() == {}
    assert not [key for key, until in world.until.items() if until > world.now]


def test_a_kept_address_whose_name_is_answered_is_kept_no_longer(world: World) -> None:
    world.ask("b.example", heard=False)
    world.refill()
    assert len(world.journal.kept()) == 2
    world.ask("b.example")
    world.refresh()
    world.refill()
    assert world.journal.kept() == {}


def test_nothing_is_lost_while_the_kernel_refuses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ReconcileError("ipset: no such set")

    world.ask("a.example")
    with monkeypatch.context() as patch:
        patch.setattr(learned.sets, "renew", refuse)
        with pytest.raises(ReconcileError):
            world.refresh()
    world.until.clear()
    world.now += 5
    assert world.refresh().added == {"sw4d1": 1, "sw6d1": 1}
    world.check()


def test_a_clock_that_was_put_back(world: World) -> None:
    """Nothing lives longer than twice the retention, and answers count at once."""
    world.ask("a.example")
    world.refresh()
    world.now -= 100_000
    world.until.clear()
    world.refill()
    assert max(world.until.values()) <= world.now + 2 * RETENTION
    world.cached.clear()
    world.ask("a.example")
    world.refresh()
    assert {pair.last for pair in world.journal.pairs()} == {int(world.now)}
