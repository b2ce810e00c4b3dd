#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part: a topology is read, checked and compiled to a gateway's state.

Every policy names eight lists of thousands of names (real ones, where SPLITWAY_TEST_DATA has them) and has rules of its
own. Each sample is a process of its own: its seconds from the inventory's variables, as Ansible has loaded them, to the
state, and the most memory that it ever had, the interpreter's and the variables' included.
"""

from __future__ import annotations

import multiprocessing
import random
import resource
import time
from typing import Any

from benchkit.bench import Bench, numbers
from benchkit.interleaved import interleaved
from benchkit.listed import listed
from benchkit.sizes import variables

from splitway.compiler import compile_state
from splitway.topology import parse

NUMBER = 5000  # clients of the targets
SECONDS, MEGABYTES = 3, 400
STRAIGHT = 1.5  # how much more a client may cost among many than among few


def main() -> None:
    """Measure each number of clients."""
    bench = Bench("compile", __doc__)
    option = bench.parser.add_argument
    option("--clients", type=numbers, default=[1000, 5000, 20000], help="numbers of clients (%(default)s)")
    option("--policies", type=int, default=200, help="distinct policies (%(default)s)")
    option("--upstreams", type=int, default=50, help="(%(default)s)")
    option("--names", type=int, default=40000, help="names on lists (%(default)s)")
    option("--networks", type=int, default=10000, help="networks on lists (%(default)s)")
    options = bench.parse()
    medians = {}
    memory: dict[int, list[float]] = {count: [] for count in options.clients}
    samples = interleaved(
        {str(count): lambda count=count: sample(count, options, memory[count]) for count in options.clients},
        options.rounds,
    )
    for count in options.clients:
        sizes = {"clients": count, "policies": options.policies, "names": options.names, "networks": options.networks}
        medians[count] = bench.row("topology to state", samples[str(count)], "s", **sizes)
        used = bench.row("memory", memory[count], "MB", **sizes)
        if count == NUMBER:
            bench.target(f"{count} clients, {options.names} names", medians[count], "s", at_most=SECONDS)
            bench.target(f"{count} clients, {options.names} names: memory", used, "MB", at_most=MEGABYTES)
    least, *_, most = sorted(medians) if len(medians) > 2 else (0, 0, 0)
    if most:
        middle = sorted(medians)[len(medians) // 2]
        few = (medians[middle] - medians[least]) / (middle - least)
        many = (medians[most] - medians[middle]) / (most - middle)
        bench.target(f"a client more among {most} / among {middle}", many / few, "×", at_most=STRAIGHT)
    bench.finish()


def sample(clients: int, options: Any, memory: list[float]) -> float:
    """Return the seconds of one process, and note its memory (MB)."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=measured, args=(clients, options, sender))
    process.start()
    seconds, used = receiver.recv()
    process.join()
    memory.append(used)
    return float(seconds)


def measured(clients: int, options: Any, sender: Any) -> None:
    """Compile once, in a process of its own."""
    made = topology(clients, options)
    started = time.perf_counter()
    compile_state(parse(made), {})
    seconds = time.perf_counter() - started
    sender.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def topology(clients: int, options: Any) -> dict[str, Any]:
    """Return inventory variables with the lists that the options ask for."""
    rnd = random.Random(options.seed)
    lists = {name: {"domains": names} for name, names in listed(options.names, rnd).items()}
    made = variables(clients, options.policies, options.upstreams, len(lists), 0, options.networks)
    for entry, plain in zip(lists.values(), made["splitway_lists"].values()):
        entry["networks"] = plain["networks"]
    names = list(lists)
    for policy in made["splitway_policies"].values():
        for rule in policy["rules"]:
            if "list" in rule:
                rule["list"] = names[int(rule["list"][4:])]
    return {**made, "splitway_lists": lists}


if __name__ == "__main__":
    main()
