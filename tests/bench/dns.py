#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What listed names cost our dnsmasq: answers/s and the time of an answer, beside a plain dnsmasq; root.

Both are the same program with the same cache and the same name server behind it, asked by dnsperf in turn:

- cached: a few hundred names again and again, 100 questions at a time;
- uncached: names below listed ones that nobody asked before, one at a time, so that each answer fills its sets. Every
  address is looked for in its sets afterwards: one that is missing ends the bench with an error.

Of an uncached answer three figures are printed: what the client waits (dnsperf), how much longer that is than with the
plain one, and the processor time of dnsmasq's own process an answer. The targets, the share of plain among them, are
about the last: dnsmasq is one thread, so it is what limits the answers/s, and it holds no other program's time.

"with the journal": the agent's reader of answers works beside, as on every gateway. With nftables, networks are loaded
into the chains, since each answer's `nft add element` reads the ruleset. The restart's gap is the longest time without
an answer, of one question a millisecond, while the engine brings one more name; resident memory is taken at the end.

Names are those of real lists as far as SPLITWAY_TEST_DATA has them, and made up beyond.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchkit.bench import Bench, numbers
from benchkit.interleaved import interleaved, ratio
from benchkit.listed import listed
from benchkit.resolvers import OURS, PLAIN, Resolvers, Run, operator, processor, republish, resident, resolvers
from namespaces import private_mounts, wait_for

from splitway.compiler.names import line
from splitway.reconcile.dns.text import UNIT

HERE = Path(__file__).parent / "benchkit"
CACHED = 300  # names
TARGETS = {("ipset", 1000, 0): 100, ("ipset", 10_000, 0): 200, ("ipset", 100_000, 0): 1100}  # µs
NETWORK_TARGETS = {4000: 400, 100_000: 1300}  # networks → µs, nftables


@dataclass(frozen=True)
class Size:
    """What is loaded."""

    backend: str
    names: int
    networks: int
    journal: bool

    @property
    def words(self) -> dict[str, object]:
        """Return the sizes for a row."""
        words = {"backend": self.backend, "names": self.names}
        if self.networks:
            words["networks"] = self.networks
        return {**words, "journal": self.journal}

    def __str__(self) -> str:
        networks = f", {self.networks:,} networks" if self.networks else ""
        return f"{self.backend}, {self.names:,} names{networks}{', with the journal' if self.journal else ''}"


def main() -> None:
    """Measure every size of the options."""
    bench = Bench("dns", __doc__)
    bench.parser.add_argument("--names", type=numbers, default="1000,10000,40000,100000", help="listed names, ipset")
    bench.parser.add_argument("--networks", type=numbers, default="4000,100000", help="networks loaded, nftables")
    bench.parser.add_argument("--nftables-names", type=numbers, default="1000", help="listed names, nftables")
    bench.parser.add_argument("--journal-names", type=numbers, default="1000,40000", help="sizes with the journal, too")
    bench.parser.add_argument("--questions", type=int, default=1000, help="uncached ones a round (%(default)s)")
    bench.parser.add_argument("--seconds", type=float, default=1.0, help="of cached ones a round (%(default)s)")
    options = bench.parse()
    if not shutil.which("dnsperf"):
        raise SystemExit("dnsperf is not installed: tests/prepare-machine bench")
    private_mounts()
    ipset = [Size("ipset", names, 0, journal) for names in options.names for journal in (False, True)]
    nftables = [
        Size("nftables", names, networks, journal)
        for names, networks in itertools.product(options.nftables_names, (0, *options.networks))
        for journal in (False, True)
    ]
    for size in ipset + nftables:
        if not size.journal or size.names in options.journal_names:
            measure(bench, size)
    bench.finish()


def measure(bench: Bench, size: Size) -> None:
    """Measure one size."""
    options, rnd = bench.options, random.Random(bench.options.seed)
    lists = listed(size.names, rnd)
    below = [name for names in lists.values() for name in names]
    count = CACHED + options.questions * (options.rounds + 1)
    address = ipaddress.IPv4Address("44.0.0.1")
    answers = {f"q{number}.{rnd.choice(below)}": str(address + number) for number in range(count)}
    questions = iter(answers)
    with (
        resolvers(operator(size.backend, lists, size.networks), answers) as both,
        journal(both, size.journal) as reader,
    ):
        cached(bench, size, both, list(itertools.islice(questions, CACHED)), reader)
        uncached(bench, size, both, list(questions))
        missing = both.missing(answers)
        if missing:
            raise SystemExit(f"{len(missing)} of {count} answers are not in their sets: {missing[0]}")
        if not size.journal:
            restart(bench, size, both, next(iter(answers)))


@contextlib.contextmanager
def journal(both: Resolvers, wanted: bool) -> Iterator[int]:
    """Have the agent's journal at work in the body; yield its process, 0 when it is not wanted."""
    if not wanted:
        yield 0
        return
    folder, owner = str(both.system.configuration.parent), str(both.system.plain_units.owner)
    process = subprocess.Popen([sys.executable, str(HERE / "journal.py"), folder, owner], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"reads\n":
            raise SystemExit("the journal did not start")
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def cached(bench: Bench, size: Size, both: Resolvers, names: list[str], reader: int) -> None:
    """Measure answers from the cache."""
    path = questions_file(both, "cached", names)
    runs: dict[str, list[Run]] = {OURS: [], PLAIN: []}
    reading: list[float] = []

    def rate(server: str) -> float:
        both.ask(server, path, "-n", "1")
        before = processor(reader) if reader else 0
        run = both.ask(server, path, "-l", str(bench.options.seconds), "-c", "4", "-q", "100")
        if reader and server == OURS:
            reading.append(1e6 * (processor(reader) - before) / run.answers)
        runs[server].append(run)
        return run.rate

    rates = interleaved({server: lambda server=server: rate(server) for server in runs}, bench.options.rounds)
    for server, name in ((PLAIN, "plain"), (OURS, "ours")):
        bench.row(f"cached, {name}", rates[server], "answers/s", **size.words)
        bench.row(f"cached, {name}: processor", [run.processor for run in runs[server][1:]], "µs", **size.words)
    if reader:
        bench.row("cached, the journal's processor", reading[1:], "µs", **size.words)
    bench.row("cached, of plain", [a / b for a, b in zip(rates[OURS], rates[PLAIN])], "", **size.words)
    of_plain = ratio(*([run.processor for run in runs[server][1:]] for server in (PLAIN, OURS)))
    bench.target(f"cached, of plain ({size})", of_plain, "", at_least=0.95)


def uncached(bench: Bench, size: Size, both: Resolvers, names: list[str]) -> None:
    """Measure answers that fill sets."""
    count = bench.options.questions
    paths = [questions_file(both, f"new{start}", names[start : start + count]) for start in range(0, len(names), count)]
    runs: dict[str, list[Run]] = {OURS: [], PLAIN: []}

    def latency(server: str) -> float:
        runs[server].append(both.ask(server, paths[len(runs[server])], "-n", "1", "-c", "1", "-q", "1"))
        return runs[server][-1].latency

    waits = interleaved({server: lambda server=server: latency(server) for server in runs}, bench.options.rounds)
    for server, name in ((PLAIN, "plain"), (OURS, "ours")):
        bench.row(f"uncached, {name}: the client waits", waits[server], "µs", **size.words)
    bench.row("uncached, more than plain", [a - b for a, b in zip(waits[OURS], waits[PLAIN])], "µs", **size.words)
    for server, name in ((PLAIN, "plain"), (OURS, "ours")):
        own = bench.row(f"uncached, {name}: processor", [run.processor for run in runs[server][1:]], "µs", **size.words)
    if size.journal:
        return
    if (size.backend, size.names, size.networks) in TARGETS:
        bound = TARGETS[size.backend, size.names, size.networks]
        bench.target(f"an uncached answer ({size})", own, "µs", at_most=bound)
    elif size.backend == "nftables" and size.networks in NETWORK_TARGETS:
        bench.target(f"an uncached answer ({size})", own, "µs", at_most=NETWORK_TARGETS[size.networks])


def restart(bench: Bench, size: Size, both: Resolvers, name: str) -> None:
    """Measure how long nobody answers while one name comes, and the memory of dnsmasq before."""
    assert both.state.dns is not None
    memory = bench.row("dnsmasq, resident", [resident(both.processes[OURS])], "MB", **size.words)
    gaps = []
    for number in range(bench.options.rounds):
        asking = subprocess.Popen(
            ["nsenter", f"--net={both.client.path}", sys.executable, str(HERE / "gap.py"), OURS, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert asking.stdout is not None
            asking.stdout.readline()
            republish(both, (*both.state.dns.lines, line(f"new{number}.example", (1,), size.backend)))
            gaps.append(float(asking.communicate("", timeout=20)[0]))
        finally:
            asking.kill()
            asking.wait()
    gap = bench.row("restart: nobody answers", gaps, "s", **size.words)
    wait_for(lambda: both.system.units.pids(UNIT), "dnsmasq")
    bench.target(f"gap of a restart ({size})", gap, "s", at_most=0.5)
    if size.names >= 100_000:
        bench.target(f"resident memory at {size.names:,} names", memory, "MB", at_most=60)


def questions_file(both: Resolvers, what: str, names: list[str]) -> Path:
    """Return a file of questions as dnsperf reads it."""
    path = both.system.configuration.parent / what
    path.write_text("".join(f"{name} A\n" for name in names))
    return path


if __name__ == "__main__":
    main()
