#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a fault to healed, and what an agent costs that has nothing to do: a whole gateway in a network namespace; root.

Every kind of fault (benchkit/faults.py) is made --rounds times, in an order and at moments drawn by chance, and each
time what it strikes is drawn, too. A sample is the time from the fault until a command that its owner would run shows
what it showed before; it runs ten times a second. Then, for --minutes, nothing happens but the probes: all upstreams
lead to one exit, which answers them. Processor time is the agent's own and that of the programs that it ran; that of
wireguard-go, where the kernel has no WireGuard, is another program's and told apart. The agent's units run as plain
processes here, which nobody restarts: what systemd would (dnsmasq, wireguard-go) the agent does.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import defaultdict

from benchkit.bench import Bench
from benchkit.faults import Fault, faults, shell
from benchkit.gateway import Gateway, agent, gateway, operator
from benchkit.processes import memory, processor
from namespaces import private_mounts

BACKENDS = ("ipset", "nftables")
POLL = 0.1  # seconds
LONGEST = 60.0  # seconds after which a fault counts as never healed
APART = 2.0  # seconds between a healing and the next fault, at most
REST = 20.0  # seconds until the agent has nothing to do
SIZES = {"clients": 5000, "policies": 200, "lists": 100, "domains": 40_000, "networks": 10_000, "upstreams": 50}


def main() -> None:
    """Measure both backends."""
    bench = Bench("heal", __doc__)
    for name, default in SIZES.items():
        bench.parser.add_argument(f"--{name}", type=int, default=default, help="(%(default)s)")
    bench.parser.add_argument("--minutes", type=float, default=2, help="of rest (%(default)s)")
    bench.parser.add_argument("--backends", default=",".join(BACKENDS), help="(%(default)s)")
    options = bench.parse()
    if os.geteuid():
        raise SystemExit("heal: this needs root")
    private_mounts()
    for backend in options.backends.split(","):
        sizes = {name: getattr(options, name) for name in SIZES}
        with gateway(operator(backend, **sizes)) as made, agent(made.system) as process:
            time.sleep(min(REST, options.minutes * 60))
            rest(bench, made, process.pid, options.minutes)
            heal(bench, made, random.Random(options.seed))
    bench.finish()


def heal(bench: Bench, made: Gateway, rnd: random.Random) -> None:
    """Make every kind of fault --rounds times."""
    backend, samples = made.state.backend, defaultdict[str, list[float]](list)
    seen: set[str] = set()  # kinds whose look has shown the fault
    kinds = range(len(faults(made, rnd)))
    todo = [number for number in kinds for _ in range(bench.options.rounds)]
    rnd.shuffle(todo)
    for number in todo:
        time.sleep(rnd.uniform(0, APART))
        fault = faults(made, rnd)[number]
        seconds, shown = until_healed(fault)
        samples[fault.kind].append(seconds)
        seen |= {fault.kind} if shown else set()
    blind = samples.keys() - seen
    if blind:
        raise SystemExit(f"heal: these looks never showed the fault: {', '.join(sorted(blind))}")
    for kind in sorted(samples):
        bench.row(kind, samples[kind], "s", backend=backend, clients=bench.options.clients)
    everything = sorted(second for seconds in samples.values() for second in seconds)
    late = everything[min(len(everything) - 1, int(0.95 * len(everything)))]
    bench.row("any fault", everything, "s", backend=backend, clients=bench.options.clients)
    bench.target(f"fault to healed, p95 of {len(everything)} ({backend})", late, "s", at_most=5)


def until_healed(fault: Fault) -> tuple[float, bool]:
    """Return the seconds until a fault was healed, and whether its look has shown it before."""
    before = shell(fault.look)
    began = time.monotonic()
    fault.begin()
    shown = False
    while time.monotonic() - began < LONGEST:
        if shell(fault.look) == before:
            return time.monotonic() - began, shown
        shown = True
        time.sleep(POLL)
    raise SystemExit(f"heal: {fault.kind}: not healed after {LONGEST:.0f} s")


def rest(bench: Bench, made: Gateway, process: int, minutes: float) -> None:
    """Measure what the agent takes while nothing happens."""
    backend, sizes = made.state.backend, {"clients": bench.options.clients, "upstreams": bench.options.upstreams}
    shares = defaultdict[str, list[float]](list)
    memories = []
    left = minutes
    while left > 0:
        seconds = 60 * min(1.0, left)
        before, before_tunnels = processor(process), wireguard(made)
        time.sleep(seconds)
        after = processor(process)
        own, programs = (100 * (now - then) / seconds for then, now in zip(before, after))
        shares["the agent's own"].append(own)
        shares["of the programs that it runs"].append(programs)
        shares["together"].append(own + programs)
        shares["of wireguard-go, apart"].append(100 * (wireguard(made) - before_tunnels) / seconds)
        memories.append(memory([process]))
        left -= 1
    for what, samples in shares.items():
        bench.row(f"at rest: processor, {what}", samples, "%", backend=backend, **sizes)
    bench.row("at rest: memory (PSS)", memories, "MB", backend=backend, **sizes)
    total = sorted(shares["together"])[len(shares["together"]) // 2]
    bench.target(f"agent at rest, of a core ({backend})", total, "%", at_most=1)
    bench.target(f"agent's memory, PSS ({backend})", max(memories), "MB", at_most=60)


def wireguard(made: Gateway) -> float:
    """Return the processor time (seconds) of all wireguard-go of the gateway; 0 where the kernel does it."""
    total = 0.0
    for process in made.wireguard():
        with contextlib.suppress(FileNotFoundError):
            total += processor(process)[0]
    return total


if __name__ == "__main__":
    main()
