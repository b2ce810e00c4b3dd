# SPDX-License-Identifier: GPL-3.0-or-later
"""Many names asked for at real name servers, which are slow, lose questions, are dead, or refuse."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest
from namespaces import Namespace, Network, run_here

from splitway.agent.names.question import Reply
from splitway.agent.names.resolver import Item, Limits, Resolver
from splitway.agent.names.servers import Server, server

NAMES = [f"n{number}.example" for number in range(290)]
DELAY = 0.05
TRIES = 3  # a busy machine may keep some of them from the time that is promised
RESPONDER = Path(__file__).parent / "responder.py"


class Answering:
    """A host with a name server."""

    def __init__(self, host: Namespace, path: Path, *addresses: str, **settings: Any) -> None:
        self.path = path
        self.set(**settings)
        process = host.start(sys.executable, str(RESPONDER), str(path), *addresses)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def set(self, **settings: Any) -> None:
        """Have it answer otherwise from now on."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"zones": {"*": ["198.51.100.1", "2001:db8::1"]}, **settings}))
        fresh.rename(self.path)

    @property
    def asked(self) -> list[str]:
        """The questions, as "udp n1.example A"."""
        log = self.path.with_suffix(".log")
        return log.read_text().splitlines() if log.exists() else []

    def forget(self) -> None:
        """Begin anew with the questions."""
        self.path.with_suffix(".log").unlink(missing_ok=True)


Three = list[tuple[Server, Answering]]
Answers = dict[tuple[str, int], Optional[Reply]]
"""By name and family; None: nobody gave one."""


@pytest.fixture
def three(network: Network, tmp_path: Path) -> Three:
    """Three name servers, each behind a wire of its own, which answer after 50 ms."""
    found = []
    for number in (1, 2, 3):
        host = network.host(f"web{number}")
        network.connect(host, f"web{number}", (f"10.90.{number}.1/24",), (f"10.90.{number}.2/24",))
        where = f"10.90.{number}.2"
        found.append((server(where), Answering(host, tmp_path / f"web{number}.json", where, delay=DELAY)))
    return found


def resolved(resolver: Resolver, names: list[str], servers: tuple[Server, ...]) -> tuple[Answers, float]:
    """Return the answers, and the seconds that they took."""
    answers: Answers = {}

    def take(item: Item, reply: Reply | None) -> None:
        assert (item.name, item.family) not in answers
        answers[item.name, item.family] = reply

    began = time.monotonic()
    asyncio.run(resolver.resolve([Item(name, family, servers) for name in names for family in (4, 6)], take))
    return answers, time.monotonic() - began


def in_time(seconds: float, three: Three, ask: Callable[[], tuple[Answers, float]]) -> Answers:
    """Return the answers of the first trial that takes less than so many seconds."""
    for _ in range(TRIES):
        for _, answering in three:
            answering.forget()
        answers, took = ask()
        print(f"{took:.2f} s of {seconds}")
        if took < seconds:
            return answers
    raise AssertionError(f"it took longer than {seconds} s, {TRIES} times")


def complete(answers: Answers, names: list[str] = NAMES) -> bool:
    expected = {4: ("198.51.100.1",), 6: ("2001:db8::1",)}
    return len(answers) == 2 * len(names) and all(
        reply is not None and reply.addresses == expected[family] for (_, family), reply in answers.items()
    )


@pytest.mark.timed
def test_290_names_in_three_seconds(three: Three) -> None:
    answers = in_time(3, three, lambda: resolved(Resolver(), NAMES, tuple(at for at, _ in three)))
    assert complete(answers)
    assert all(reply is not None and reply.ttl == 60 for reply in answers.values())
    assert sum(len(answering.asked) for _, answering in three) == 580


@pytest.mark.timed
def test_a_dead_resolver_costs_one_timeout_in_all(three: Three) -> None:
    servers = tuple(at for at, _ in three)
    three[0][1].set(loss=1)
    resolvers: list[Resolver] = []

    def ask() -> tuple[Answers, float]:
        resolvers.append(Resolver())
        resolvers[-1].limits = Limits(timeout=1)
        return resolved(resolvers[-1], NAMES, servers)

    assert complete(in_time(3 + 1, three, ask))
    assert three[0][1].asked
    assert complete(in_time(3, three, lambda: resolved(resolvers[-1], NAMES, servers)))
    assert not three[0][1].asked, "it is remembered as dead"


@pytest.mark.timed
def test_a_resolver_without_a_listener_costs_nothing_and_no_word_in_the_log(
    three: Three, caplog: pytest.LogCaptureFixture
) -> None:
    run_here("ip", "link", "set", "web2", "down")
    servers = (server("10.90.1.1#54"), server("10.90.2.2"), three[2][0], server("10.90.3.2@no-such"))
    assert complete(in_time(3, three, lambda: resolved(Resolver(), NAMES, servers)))
    gc.collect()  # when asyncio tells of failures that nobody took
    assert caplog.messages == []


@pytest.mark.timed
def test_lost_questions_are_asked_again(three: Three) -> None:
    for _, answering in three:
        answering.set(loss=0.05)
    resolver = Resolver()
    resolver.limits = Limits(timeout=0.3)
    answers = in_time(3, three, lambda: resolved(resolver, NAMES, tuple(at for at, _ in three)))
    assert sum(reply is not None for reply in answers.values()) >= 578  # all three tries of one lost: 1 of 8,000


def test_what_one_refuses_another_is_asked_and_what_is_cut_is_asked_by_tcp(three: Three) -> None:
    three[0][1].set(code="REFUSED")
    three[1][1].set(code="SERVFAIL")
    three[2][1].set(cut=True)
    answers, _ = resolved(Resolver(), NAMES[:20], tuple(at for at, _ in three))
    assert complete(answers, NAMES[:20])
    assert {line.split()[0] for line in three[2][1].asked} == {"udp", "tcp"}


def test_what_is_cut_by_tcp_as_well_is_no_answer(three: Three) -> None:
    three[0][1].set(cut="always")
    answers, _ = resolved(Resolver(), NAMES[:20], tuple(at for at, _ in three[:2]))
    assert complete(answers, NAMES[:20])
    assert three[0][1].asked
    answers, _ = resolved(Resolver(), NAMES[:20], (three[0][0],))
    assert set(answers.values()) == {None}


def test_that_a_name_does_not_exist_is_an_answer(three: Three) -> None:
    for _, answering in three:
        answering.set(zones={"www.example": ["198.51.100.1"]})
    answers, _ = resolved(Resolver(), ["no.example", "www.example", "a..b"], (three[0][0],))
    assert [answers[name, 4] for name in ("no.example", "a..b")] == [Reply(), Reply()]
    assert answers["www.example", 4] == Reply(("198.51.100.1",), 60)
    assert answers["www.example", 6] == Reply()


@pytest.mark.timed
def test_where_all_are_dead_it_ends(three: Three) -> None:
    for _, answering in three:
        answering.set(loss=1)
    names = [f"n{number}.example" for number in range(5000)]

    def ask() -> tuple[Answers, float]:
        resolver = Resolver()
        resolver.limits = Limits(timeout=0.3)
        return resolved(resolver, names, tuple(at for at, _ in three))

    assert set(in_time(5, three, ask).values()) == {None}
    assert sum(len(answering.asked) for _, answering in three) < 300


@pytest.mark.timed
def test_5000_names_leave_the_loop_to_others(three: Three) -> None:
    """The agent's loop has tunnels to probe meanwhile: nobody waits for it longer than a moment."""
    names = [f"n{number}.example" for number in range(5000)]

    async def late() -> float:
        """Return the seconds by which the loop is late, but for one time of 100."""
        loop = asyncio.get_running_loop()
        waits: list[float] = []

        async def watch() -> None:
            while True:
                due = loop.time() + 0.01
                await asyncio.sleep(0.01)
                waits.append(loop.time() - due)

        watching = asyncio.create_task(watch())
        began = time.process_time()
        items = [Item(name, family, tuple(at for at, _ in three)) for name in names for family in (4, 6)]
        answers: list[Reply | None] = []
        await Resolver().resolve(items, lambda _, reply: answers.append(reply))
        used = time.process_time() - began
        watching.cancel()
        assert all(reply is not None and reply.addresses for reply in answers)
        waits.sort()
        print(f"5,000 names: {used:.2f} s of a processor; the loop was late by {waits[-1] * 1000:.0f} ms at most")
        return waits[len(waits) * 99 // 100]

    assert any(asyncio.run(late()) < 0.05 for _ in range(TRIES))
