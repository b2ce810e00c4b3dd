#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a PAC file is, and how long an answer takes, by the number of listed names: pacparser and pypac.

A hit is a name below a listed one, a miss a name below an unlisted one that looks like it. Names are those of real
lists as far as SPLITWAY_TEST_DATA has them, and made up beyond. Browsers refuse files of more than 1,000,000 bytes.
"""

from __future__ import annotations

import random
import sys
import time

from benchkit import REPOSITORY
from benchkit.bench import Bench, numbers
from benchkit.listed import listed

sys.path.insert(0, str(REPOSITORY / "tests/unit/pac"))

from engines import ENGINES, Ask

from splitway.compiler.networks import SPECIAL
from splitway.compiler.pac_rules import Kind, PacRule, compile_tables
from splitway.pac import DIRECT, LARGEST, PROXY, ProxyServer, pac_text

ASKED = 1000  # names of each kind
PROXIES = (ProxyServer("PROXY", "10.8.0.1", 8080), ProxyServer("SOCKS5", "10.8.0.1", 1080))


def main() -> None:
    """Measure every number of names."""
    bench = Bench("pac", __doc__)
    bench.parser.add_argument("--names", type=numbers, default="1000,10000,50000", help="listed names (%(default)s)")
    options = bench.parse()
    for count in options.names:
        measure(bench, count)
    bench.finish()


def measure(bench: Bench, count: int) -> None:
    """Measure one file."""
    rnd = random.Random(bench.options.seed)
    names = sorted({name for found in listed(count, rnd).values() for name in found})
    began = time.perf_counter()
    file = pac_text(compile_tables((PacRule(PROXY, (Kind(tuple(names)),)),), DIRECT, ("local",), SPECIAL), PROXIES)
    bench.row("making the file", [time.perf_counter() - began], "s", names=count)
    bench.row("size", [len(file)], "bytes", names=count)
    bench.target(f"size with {count:,} names", len(file), "bytes", at_most=LARGEST)
    chosen = rnd.sample(names, min(len(names), ASKED))
    asked = {"hit": [f"www.{name}" for name in chosen], "miss": [f"www.{name}.example" for name in chosen]}
    for engine, load in ENGINES.items():
        with load(file) as ask:
            for what, hosts in asked.items():
                taken = [1e6 * each(ask, hosts) for _ in range(bench.options.rounds)]
                middle = bench.row(what, taken, "µs", engine=engine, names=count)
                if engine == "pacparser":
                    bench.target(f"{what} among {count:,} names, {engine}", middle, "µs", at_most=20)


def each(ask: Ask, hosts: list[str]) -> float:
    """Return the seconds of a processor that an answer takes on average."""
    began = time.process_time()
    for host in hosts:
        ask(f"http://{host}/", host)
    return (time.process_time() - began) / len(hosts)


if __name__ == "__main__":
    main()
