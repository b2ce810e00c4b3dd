#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the agent takes to ask for all addresses of many names, A and AAAA, at three name servers; root.

Each name server is behind a wire of its own and answers after --delay: all well, one of the three dead (which is known
from the second time on), one question of twenty lost. And the processor time of the asking, for many more names.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchkit import REPOSITORY
from benchkit.bench import Bench
from namespaces import Network, fresh, private_mounts

from splitway.agent.names.resolver import Item, Resolver
from splitway.agent.names.servers import Server, server

RESPONDER = REPOSITORY / "tests/kernel/responder.py"
TIMEOUT = Resolver().limits.timeout
LOST = 0.05


def main() -> None:
    """Measure each fault."""
    bench = Bench("resolving", __doc__)
    bench.parser.add_argument("--names", type=int, default=290, help="asked for at a time (%(default)s)")
    bench.parser.add_argument("--many", type=int, default=5000, help="for the processor time (%(default)s)")
    bench.parser.add_argument("--delay", type=float, default=0.05, help="seconds of an answer (%(default)s)")
    options = bench.parse()
    private_mounts()
    delay = {"delay": options.delay}
    with name_servers() as (servers, files):
        for what, faults, bound in (
            ("all well", [delay] * 3, 3.0),
            ("one of three dead", [{"loss": 1}, delay, delay], 3.0 + TIMEOUT),
            ("one question of twenty lost", [{**delay, "loss": LOST}] * 3, 3.0 + 2 * TIMEOUT),
        ):
            for path, settings in zip(files, faults):
                tell(path, **settings)
            taken = [asked(Resolver(), options.names, servers)[0] for _ in range(options.rounds)]
            middle = bench.row(what, taken, "s", names=options.names)
            bench.target(f"{options.names} names, {what}", middle, "s", at_most=bound)
        for path in files:
            tell(path)
        used = [asked(Resolver(), options.many, servers)[1] / options.many * 1000 for _ in range(options.rounds)]
        bench.row("processor, a name", used, "ms", names=options.many)
    bench.finish()


@contextlib.contextmanager
def name_servers() -> Iterator[tuple[tuple[Server, ...], list[Path]]]:
    """Yield three name servers, and the files that say how each of them answers."""
    with fresh(), contextlib.ExitStack() as stack:
        folder, network = Path(stack.enter_context(tempfile.TemporaryDirectory())), Network()
        stack.callback(network.close)
        servers, files = [], []
        for number in (1, 2, 3):
            host = network.host(f"web{number}")
            at = f"10.90.{number}.2"
            network.connect(host, f"web{number}", (f"10.90.{number}.1/24",), (f"{at}/24",))
            files.append(folder / f"{number}.json")
            tell(files[-1])
            process = host.start(sys.executable, str(RESPONDER), str(files[-1]), at)
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise SystemExit("a name server does not start: tests/prepare-machine bench")
            servers.append(server(at))
        yield tuple(servers), files


def tell(path: Path, **settings: Any) -> None:
    """Have a name server answer like this from now on."""
    fresh_one = path.with_suffix(".new")
    fresh_one.write_text(json.dumps({"zones": {"*": ["198.51.100.1", "2001:db8::1"]}, **settings}))
    fresh_one.rename(path)


def asked(resolver: Resolver, count: int, servers: tuple[Server, ...]) -> tuple[float, float]:
    """Ask for so many names; return the seconds that it took, and those of the processor."""
    items = [Item(f"n{number}.example", family, servers) for number in range(count) for family in (4, 6)]
    answered = []
    began, worked = time.perf_counter(), time.process_time()
    asyncio.run(resolver.resolve(items, lambda _, reply: answered.append(reply is not None)))
    done = time.perf_counter() - began, time.process_time() - worked
    if sum(answered) < 0.99 * len(items):  # of lost questions, all three tries may be
        raise SystemExit(f"{len(items) - sum(answered)} of {len(items)} questions were not answered")
    return done


if __name__ == "__main__":
    main()
