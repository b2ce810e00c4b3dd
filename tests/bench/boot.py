#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a gateway takes to be itself again after a reboot, from what it keeps; both backends; root.

Each sample is one boot in a network namespace of its own, with nothing in it: the early step (floors, guards, sets and
chains, before there is a network), then the agent's (tunnels, routes, the addresses that names had, dnsmasq, and wg0
last). What is kept is the generation and a journal of answered names. The starts of WireGuard's processes, on a kernel
without it, are measured apart and not in the whole; so is the start of Python, once for each of the two steps.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchkit.bench import Bench
from benchkit.measured import READING, STARTING, UNITS, WRITING, MeasuredSystem
from benchkit.sizes import variables
from namespaces import fresh, private_mounts

from splitway.agent import boot
from splitway.agent.names.journal import Journal, Pair
from splitway.agent.names.learning import Learning
from splitway.applying import drift
from splitway.compiler import compile_state
from splitway.engine import HERE
from splitway.store import Store
from splitway.topology import parse

TARGET = 4.0  # seconds
SIZES = {"clients": 5000, "policies": 200, "upstreams": 50, "lists": 100, "domains": 40000, "networks": 10000}
PARTS = {
    "early": "floors, guards, sets, chains",
    "agent": "the agent's: all, wg0 last",
    "processor": "processor time, children too",
    READING: "of it: programs that read",
    WRITING: "of it: changing the kernel",
    UNITS: "of it: dnsmasq started",
    STARTING: "apart: WireGuard's processes",
    "python": "apart: Python, twice",
}


def main() -> None:
    """Measure, print and write bench/results/boot.json."""
    bench = Bench("boot", __doc__)
    for name, default in SIZES.items():
        bench.parser.add_argument(f"--{name}", type=int, default=default)
    bench.parser.add_argument("--learned", type=int, default=20000, help="addresses in the journal (%(default)s)")
    bench.parser.add_argument("--backends", default="ipset,nftables")
    options = bench.parse()
    if os.geteuid() != 0:
        sys.exit("this bench needs root: it makes network namespaces")
    private_mounts()
    for backend in options.backends.split(","):
        with tempfile.TemporaryDirectory() as folder:
            keep(Path(folder), backend, {name: getattr(options, name) for name in SIZES}, options.learned)
            samples = [restored(Path(folder)) for _ in range(options.rounds)]
        sizes = {"backend": backend, "clients": options.clients}
        whole = bench.row("boot", [sample["all"] for sample in samples], "s", **sizes)
        bench.target(f"{backend}: boot", whole, "s", at_most=TARGET)
        for part, words in PARTS.items():
            bench.row(words, [sample[part] for sample in samples], "s", **sizes)
    bench.finish()


def keep(folder: Path, backend: str, sizes: dict[str, int], learned: int) -> None:
    """Put into a folder what a gateway keeps over a reboot."""
    state = compile_state(parse({**variables(**sizes), "splitway_backend": backend}), {})
    system = MeasuredSystem(folder)
    Store(system).publish(state)
    system.data.mkdir(parents=True)
    now = int(time.time())
    lines = state.dns.lines if state.dns else ()
    journal = Journal(system.data / "journal.db")
    journal.write(
        [
            Pair(f"198.{18 + index // 65536}.{index // 256 % 256}.{index % 256}", line.split("/")[1], now)
            for index, line in enumerate(lines[:learned])
        ],
        now,
    )
    journal.close()


def restored(kept: Path) -> dict[str, float]:
    """Return the seconds of one boot, by part. Exits when it is not whole afterwards."""
    with fresh(), tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "gateway"
        shutil.copytree(kept, folder)
        system = MeasuredSystem(folder)
        store = Store(system)
        try:
            began, processor = time.perf_counter(), sum(os.times()[:4])
            early = boot.restore_early(store)
            between = time.perf_counter()
            journal = Journal(system.data / "journal.db")
            done = boot.restore(store, Learning(store, journal).refill)
            ended, processor = time.perf_counter(), sum(os.times()[:4]) - processor
            journal.close()
            failures = {**early.failures, **done.failures}
            left = drift(store, store.generation(), [section for section in done.changes if section != "agent"])
            if failures or any(left.values()):
                sys.exit(f"the gateway is not whole after its boot: {failures or left}")
            seconds = system.seconds
            return {
                **seconds,
                READING: seconds[READING],
                UNITS: seconds[UNITS],
                STARTING: seconds[STARTING],
                "early": between - began,
                "agent": ended - between - seconds[STARTING],
                "processor": processor,
                "all": ended - began - seconds[STARTING],
                "python": started_python(),
            }
        finally:
            system.plain_units.close()


def started_python() -> float:
    """Return the seconds that the program takes to start: for the early step, and for the agent."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    began = time.perf_counter()
    for module in ("splitway.agent.boot", "splitway.agent.daemon"):
        subprocess.run(["/usr/bin/python3", "-c", f"import {module}"], check=True, env=environment, cwd="/")
    return time.perf_counter() - began


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is not installed: tests/prepare-machine kernel bench")
