# SPDX-License-Identifier: GPL-3.0-or-later
"""Many names asked for at real name servers, which are slow, lose questions, are dead, or refuse."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from namespaces import Namespace, Network, run_here

from splitway.agent.names.question import Reply
from splitway.agent.names.resolver import Item, Limits, Resolver
from splitway.agent.names.servers import Server, server

NAMES = [f"n{number}.example" for number in range(290)]
DELAY = 0.05
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


@pytest.fixture
def three(network: Network, tmp_path: Path) -> list[tuple[Server, Answering]]:
    """Three name servers, each behind a wire of its own, which answer after 50 ms."""
    found = []
    for number in (1, 2, 3):
        host = network.host(f"web{number}")
        network.connect(host, f"web{number}", (f"10.90.{number}.1/24",), (f"10.90.{number}.2/24",))
        where = f"10.90.{number}.2"
        found.append((server(where), Answering(host, tmp_path / f"web{number}.json", where, delay=DELAY)))
    return found


def resolved(
    resolver: Resolver, names: list[str], servers: tuple[Server, ...]
) -> tuple[dict[tuple[str, int], Reply | None], float]:
    """Return the answers, and the seconds that they took."""
    answers: dict[tuple[str, int], Reply | None] = {}

    def take(item: Item, reply: Reply | None) -> None:
        assert (item.name, item.family) not in answers
        answers[item.name, item.family] = reply

    began = time.monotonic()
    asyncio.run(resolver.resolve([Item(name, family, servers) for name in names for family in (4, 6)], take))
    return answers, time.monotonic() - began


def complete(answers: dict[tuple[str, int], Reply | None], names: list[str] = NAMES) -> bool:
    expected = {4: ("198.51.100.1",), 6: ("2001:db8::1",)}
    return len(answers) == 2 * len(names) and all(
        reply is not None and reply.addresses == expected[family] for (_, family), reply in answers.items()
    )


def test_290_names_in_three_seconds(three: list[tuple[Server, Answering]]) -> None:
    answers, took = resolved(Resolver(), NAMES, tuple(at for at, _ in three))
    print(f"290 names, A and AAAA, 50 ms an answer: {took:.2f} s")
    assert complete(answers)
    assert took < 3
    assert all(reply is not None and reply.ttl == 60 for reply in answers.values())
    assert sum(len(answering.asked) for _, answering in three) == 580


def test_a_dead_resolver_costs_one_timeout_in_all(three: list[tuple[Server, Answering]]) -> None:
    servers = tuple(at for at, _ in three)
    three[0][1].set(loss=1)
    resolver = Resolver()
    resolver.limits = Limits(timeout=1)
    answers, took = resolved(resolver, NAMES, servers)
    print(f"with one of three dead, and 1 s to wait: {took:.2f} s")
    assert complete(answers)
    assert took < 3 + 1
    asked = len(three[0][1].asked)
    answers, took = resolved(resolver, NAMES, servers)
    assert complete(answers)
    assert took < 3
    assert len(three[0][1].asked) == asked, "it is remembered as dead"


def test_a_resolver_without_a_listener_costs_nothing_and_no_word_in_the_log(
    three: list[tuple[Server, Answering]], caplog: pytest.LogCaptureFixture
) -> None:
    run_here("ip", "link", "set", "web2", "down")
    servers = (server("10.90.1.1#54"), server("10.90.2.2"), three[2][0], server("10.90.3.2@no-such"))
    answers, took = resolved(Resolver(), NAMES, servers)
    assert complete(answers)
    assert took < 3
    gc.collect()  # when asyncio tells of failures that nobody took
    assert caplog.messages == []


def test_lost_questions_are_asked_again(three: list[tuple[Server, Answering]]) -> None:
    for _, answering in three:
        answering.set(loss=0.05)
    resolver = Resolver()
    resolver.limits = Limits(timeout=0.3)
    answers, took = resolved(resolver, NAMES, tuple(at for at, _ in three))
    print(f"one of twenty lost: {took:.2f} s")
    assert sum(reply is not None for reply in answers.values()) >= 578  # all three tries of one lost: 1 of 8,000
    assert took < 3


def test_what_one_refuses_another_is_asked_and_what_is_cut_is_asked_by_tcp(
    three: list[tuple[Server, Answering]],
) -> None:
    three[0][1].set(code="REFUSED")
    three[1][1].set(code="SERVFAIL")
    three[2][1].set(cut=True)
    answers, _ = resolved(Resolver(), NAMES[:20], tuple(at for at, _ in three))
    assert complete(answers, NAMES[:20])
    assert {line.split()[0] for line in three[2][1].asked} == {"udp", "tcp"}


def test_what_is_cut_by_tcp_as_well_is_no_answer(three: list[tuple[Server, Answering]]) -> None:
    three[0][1].set(cut="always")
    answers, _ = resolved(Resolver(), NAMES[:20], tuple(at for at, _ in three[:2]))
    assert complete(answers, NAMES[:20])
    assert three[0][1].asked
    answers, _ = resolved(Resolver(), NAMES[:20], (three[0][0],))
    assert set(answers.values()) == {None}


def test_that_a_name_does_not_exist_is_an_answer(three: list[tuple[Server, Answering]]) -> None:
    for _, answering in three:
        answering.set(zones={"www.example": ["198.51.100.1"]})
    answers, _ = resolved(Resolver(), ["no.example", "www.example", "a..b"], (three[0][0],))
    assert [answers[name, 4] for name in ("no.example", "a..b")] == [Reply(), Reply()]
    assert answers["www.example", 4] == Reply(("198.51.100.1",), 60)
    assert answers["www.example", 6] == Reply()


def test_where_all_are_dead_it_ends(three: list[tuple[Server, Answering]]) -> None:
    for _, answering in three:
        answering.set(loss=1)
    resolver = Resolver()
    resolver.limits = Limits(timeout=0.3)
    answers, took = resolved(resolver, [f"n{number}.example" for number in range(5000)], tuple(at for at, _ in three))
    assert set(answers.values()) == {None}
    assert took < 5
    assert sum(len(answering.asked) for _, answering in three) < 300


@pytest.mark.timed
def test_5000_names_leave_the_loop_to_others(three: list[tuple[Server, Answering]]) -> None:
    """The agent's loop has tunnels to probe meanwhile: nobody waits for it longer than a moment."""
    waits: list[float] = []
    names = [f"n{number}.example" for number in range(5000)]

    async def run() -> float:
        loop = asyncio.get_running_loop()

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
        return used

    used = asyncio.run(run())
    waits.sort()
    print(f"5,000 names: {used:.2f} s of a processor; the loop was late by {waits[-1] * 1000:.0f} ms at most")
    assert waits[len(waits) * 99 // 100] < 0.05
