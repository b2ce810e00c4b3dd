#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the engine takes to bring a topology to one host, and to change it; both backends; root.

Each sample is a whole run as site.yml makes one: begin, every section, commit, in a network namespace of its own.
From nothing; again without a change; then with one thing changed, and back: a client (added, removed), a rule, an
upstream's endpoint, a name of a list. Printed of each: the whole, its sections, and the seconds of what changes the
kernel (programs and netlink). Measured apart, and not in the whole: the starts of WireGuard's processes on a kernel
without it, and the rehearsal, by which site.yml finds out what is in the way before it begins.

At last the seeds' way (tests/bench/seed_way) from nothing, interleaved with ours: five rules a client, the same for
ten clients. Its upstreams are there before, and neither its dnsmasq nor its clients' tunnel are counted; ours are.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import seed_way
from benchkit.bench import Bench, numbers
from benchkit.interleaved import interleaved, ratio
from benchkit.measured import READING, STARTING, UNITS, WRITING, MeasuredSystem
from benchkit.sizes import address, key, variables
from namespaces import fresh, private_mounts, run_here

from splitway.applying import rehearse
from splitway.compiler import compile_state
from splitway.state import SECTIONS, State
from splitway.store import Store
from splitway.topology import parse
from splitway.transaction import begin, bring, commit

TARGETS = {"from nothing": 3.0, "unchanged": 0.7}  # seconds; any other is one change
ONE_CHANGE, ONE_CHANGE_IN_THE_KERNEL, TIMES_THE_SEEDS = 0.8, 0.05, 15
Sample = dict[str, float]


def main() -> None:
    """Measure, print and write bench/results/apply.json."""
    bench = Bench("apply", __doc__)
    for name, default in (
        ("clients", 5000), ("policies", 200), ("upstreams", 50), ("lists", 100), ("domains", 40000), ("networks", 10000)
    ):  # fmt: skip
        bench.parser.add_argument(f"--{name}", type=int, default=default)
    bench.parser.add_argument("--backends", default="ipset,nftables")
    bench.parser.add_argument("--peer-clients", type=numbers, default=[100, 1000], help="against the seeds' way")
    options = bench.parse()
    if os.geteuid() != 0:
        sys.exit("this bench needs root: it makes network namespaces")
    private_mounts()
    sizes = {
        name: getattr(options, name) for name in ("clients", "policies", "upstreams", "lists", "domains", "networks")
    }
    runs = {backend: Runs(backend, sizes, options.seed) for backend in options.backends.split(",")}
    for _ in range(options.rounds):
        for one in runs.values():
            one.round()
    for backend, one in runs.items():
        report(bench, backend, one.samples)
    for clients in options.peer_clients:
        compare(bench, clients, options.rounds)
    bench.finish()


class Runs:
    """All samples of one backend."""

    def __init__(self, backend: str, sizes: dict[str, int], seed: int) -> None:
        chance = random.Random(seed)
        operator = {**variables(**sizes), "splitway_backend": backend}
        self.base = compile_state(parse(operator), {})
        self.changed = {
            change: compile_state(parse(CHANGES[change](operator, chance)), self.base.numbers) for change in CHANGES
        }
        self.samples: dict[str, list[Sample]] = {}

    def round(self) -> None:
        """Take one sample of each kind, in a new namespace."""
        with gateway() as store:
            self.note("from nothing", run(store, self.base))
            self.note("unchanged", run(store, self.base))
            for change, state in self.changed.items():
                self.note(change, run(store, state))
                back = run(store, self.base)
                if change == "one client more":
                    self.note("one client less", back)
            self.note("unchanged", run(store, self.base))

    def note(self, what: str, sample: Sample) -> None:
        """Keep one sample."""
        self.samples.setdefault(what, []).append(sample)


@contextmanager
def gateway() -> Iterator[Store]:
    """Yield the store of a gateway in a new namespace."""
    with fresh(), tempfile.TemporaryDirectory() as folder:
        system = MeasuredSystem(Path(folder))
        try:
            yield Store(system)
        finally:
            system.plain_units.close()


def run(store: Store, state: State) -> Sample:
    """Bring a state to the host as one transaction; return the seconds of its parts, and of all without STARTING."""
    system: Any = store.system
    sample: Sample = {}
    began = time.perf_counter()
    rehearse(store, state)
    sample["rehearsal"] = time.perf_counter() - began
    system.reset()
    began = time.perf_counter()
    processor = sum(os.times()[:4])
    begin(store, "bench")
    for section in SECTIONS:
        started, starting = time.perf_counter(), system.seconds[STARTING]
        bring(store, section, getattr(state, section), backend=state.backend, transaction="bench", purge=True)
        sample[section] = time.perf_counter() - started - (system.seconds[STARTING] - starting)
    started = time.perf_counter()
    commit(store, "bench", state.numbers)
    sample["commit"] = time.perf_counter() - started
    sample["all"] = time.perf_counter() - began - system.seconds[STARTING]
    sample["processor"] = sum(os.times()[:4]) - processor
    sample.update({kind: system.seconds[kind] for kind in (READING, WRITING, STARTING, UNITS)})
    sample["programs"] = sum(system.programs.values())
    sample["bytes read"] = system.read_bytes
    return sample


def report(bench: Bench, backend: str, samples: dict[str, list[Sample]]) -> None:
    """Record one backend's samples."""
    for what, taken in samples.items():
        sizes = {"backend": backend, "run": what}
        all_of_it = bench.row("run", [sample["all"] for sample in taken], "s", **sizes)
        bench.target(f"{backend}: {what}", all_of_it, "s", at_most=TARGETS.get(what, ONE_CHANGE))
        for part in (*SECTIONS, "commit", "processor", READING, WRITING, UNITS, STARTING, "rehearsal"):
            bench.row(PARTS.get(part, part), [sample[part] for sample in taken], "s", **sizes)
        bench.row("programs started", [sample["programs"] for sample in taken], "", **sizes)
        bench.row("read from programs", [sample["bytes read"] for sample in taken], "bytes", **sizes)
        if what not in TARGETS:
            writing = median(sample[WRITING] for sample in taken)
            bench.target(
                f"{backend}: {what}, changing the kernel", writing * 1000, "ms", at_most=ONE_CHANGE_IN_THE_KERNEL * 1000
            )


PARTS = {
    "processor": "processor time, children too",
    READING: "of it: programs that read",
    WRITING: "of it: changing the kernel",
    UNITS: "of it: dnsmasq and the agent started",
    STARTING: "apart: WireGuard's processes",
    "rehearsal": "apart: the rehearsal before it",
}


def compare(bench: Bench, clients: int, rounds: int) -> None:
    """Record what the seeds' way takes from nothing, and ours for the same topology on either backend."""
    operator = seeds_topology(clients)
    described = seed_way.describe(parse(operator))
    commands = seed_way.commands(described)

    def theirs() -> float:
        with fresh():
            for upstream in described.upstreams:
                run_here(
                    "ip", "link", "add", upstream.interface, "type", "veth", "peer", "name", f"{upstream.interface}e"
                )
                run_here("ip", "link", "set", upstream.interface, "up")
            started = time.perf_counter()
            seed_way.apply(commands)
            return time.perf_counter() - started

    def ours(backend: str) -> float:
        state = compile_state(parse({**operator, "splitway_backend": backend}), {})
        with gateway() as store:
            return run(store, state)["all"]

    ways = {"seeds": theirs, "ipset": lambda: ours("ipset"), "nftables": lambda: ours("nftables")}
    found = interleaved(ways, rounds)
    for way, samples in found.items():
        bench.row("from nothing, five rules a client", samples, "s", way=way, clients=clients)
    bench.row("programs of the seeds' way", [len(commands)], "", clients=clients)
    for backend in ("ipset", "nftables"):
        times = ratio(found["seeds"], found[backend])
        bench.row("the seeds' way over ours", [times], "", way=backend, clients=clients)
        if clients == 1000:
            bench.target(f"{backend}: faster than the seeds' way, 1,000 clients", times, "×", at_least=TIMES_THE_SEEDS)


def seeds_topology(clients: int) -> dict[str, Any]:
    """Return a topology of the shape that the seed sizes in its section 6.3: five rules a client."""
    groups = max(1, clients // 10)
    operator = variables(clients, groups, min(groups, 20), 1, 1, 1)
    for number in range(groups):
        way = {"egress": f"up{number % min(groups, 20)}"}
        domains = [{"domain": f"name{index}.of{number}.example", **way} for index in range(3)]
        networks = [
            {"network": f"100.{64 + number // 128}.{number % 128 * 2 + index}.0/24", **way} for index in range(2)
        ]
        operator["splitway_policies"][f"policy{number}"] = {"rules": domains + networks}
    return operator


def _one_client_more(operator: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    policy = f"policy{chance.randrange(len(operator['splitway_policies']))}"
    index = len(operator["splitway_clients"]) + 100
    client = {"name": "another", "addresses": [address("v4", index), address("v6", index)], "policy": policy}
    return {
        **operator,
        "splitway_clients": [*operator["splitway_clients"], {**client, "public_key": key("another client")}],
    }


def _one_rule(operator: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    policies = operator["splitway_policies"]
    name = f"policy{chance.randrange(len(policies))}"
    rules = [{"domain": "changed.example", "egress": "up0"}, *policies[name]["rules"][1:]]
    return {**operator, "splitway_policies": {**policies, name: {**policies[name], "rules": rules}}}


def _one_upstream(operator: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    upstreams = list(operator["splitway_upstreams"])
    number = chance.randrange(len(upstreams))
    upstreams[number] = {**upstreams[number], "endpoint": "198.51.100.254:51999"}
    return {**operator, "splitway_upstreams": upstreams}


def _one_name(operator: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    lists = operator["splitway_lists"]
    name = f"list{chance.randrange(len(lists))}"
    domains = ["changed.example", *lists[name]["domains"][1:]]
    return {**operator, "splitway_lists": {**lists, name: {**lists[name], "domains": domains}}}


CHANGES = {
    "one client more": _one_client_more,
    "one rule changed": _one_rule,
    "one upstream changed": _one_upstream,
    "one name of a list changed": _one_name,
}


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is not installed: tests/prepare-machine kernel bench")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}: {error.stderr}")
