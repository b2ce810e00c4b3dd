#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a whole gateway takes of memory, at several numbers of clients; in network namespaces, root.

Of processes the proportional set size (PSS): the agent and our dnsmasq, which is all of ours where the kernel has
WireGuard; where it has not, wireguard-go's, one process an interface, is told apart. Of the kernel what ipsets say
themselves (`ipset list -terse`: "Size in memory"); nftables says nothing of the kind. There is an upstream for every
ten clients, fifty at most; lists and policies are the same at every size. Each figure is read --rounds times, two
seconds apart, when all upstreams are up and the agent has come to rest.

Beside it: what the first seed expects of its own way (its table 6.3), and at --seed-way clients (0: not) the same
topology in that way, measured: its dnsmasq's lines and its ipsets, one set a client.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import seed_way
from benchkit.bench import Bench, numbers
from benchkit.gateway import Gateway, agent, gateway, operator
from benchkit.processes import memory
from namespaces import fresh, private_mounts, run_here, wait_for

from splitway.reconcile.dns.text import UNIT
from splitway.topology import parse

BACKENDS = ("ipset", "nftables")
SEEDS = {10: 350, 50: 600, 100: 1200, 200: 2500}  # MB by clients: the first seed's table 6.3
REST = 20.0  # seconds until the agent has come to rest
SIZES = {"policies": 200, "lists": 100, "domains": 40_000, "networks": 10_000}
LARGE = 5000  # clients at which the target is


def main() -> None:
    """Measure every size with both backends, then the seed's way."""
    bench = Bench("memory", __doc__)
    bench.parser.add_argument("--clients", type=numbers, default=[200, 1000, LARGE], help="(200,1000,5000)")
    for name, default in SIZES.items():
        bench.parser.add_argument(f"--{name}", type=int, default=default, help="(%(default)s)")
    bench.parser.add_argument("--upstreams", type=int, default=50, help="at most (%(default)s)")
    bench.parser.add_argument("--backends", default=",".join(BACKENDS), help="(%(default)s)")
    bench.parser.add_argument("--seed-way", type=int, default=200, help="clients of the seed's way (%(default)s)")
    options = bench.parse()
    if os.geteuid():
        raise SystemExit("memory: this needs root")
    private_mounts()
    for clients in options.clients:
        for backend in options.backends.split(","):
            with gateway(operator(backend, **sizes(bench, clients))) as made, agent(made.system) as process:
                time.sleep(REST)
                measure(bench, made, process.pid, clients)
        if clients in SEEDS:
            bench.row("the seed's estimate of its own", [SEEDS[clients]], "MB", clients=clients)
    if options.seed_way:
        measure_seed_way(bench, options.seed_way)
    bench.finish()


def sizes(bench: Bench, clients: int) -> dict[str, int]:
    """Return the sizes of a topology."""
    others = {name: getattr(bench.options, name) for name in SIZES}
    return {"clients": clients, "upstreams": max(1, min(bench.options.upstreams, clients // 10)), **others}


def measure(bench: Bench, made: Gateway, process: int, clients: int) -> None:
    """Record what a gateway takes."""
    backend = made.state.backend
    samples: dict[str, list[float]] = {"agent": [], "dnsmasq": [], "together": [], "wireguard-go, apart": []}
    for _ in range(bench.options.rounds):
        ours = memory([process]), memory(made.system.plain_units.pids(UNIT))
        for name, value in zip(samples, (*ours, sum(ours), memory(made.wireguard()))):
            samples[name].append(value)
        time.sleep(2)
    for name, values in samples.items():
        bench.row(name, values, "MB", backend=backend, clients=clients)
    if backend == "ipset":
        bench.row("the kernel's ipsets", [ipsets()], "MB", backend=backend, clients=clients)
    if clients == LARGE:
        bench.target(
            f"agent and dnsmasq at {clients:,} clients ({backend})", max(samples["together"]), "MB", at_most=150
        )


def ipsets() -> float:
    """Return what all ipsets say that they take, in MB."""
    listing = run_here("ipset", "list", "-terse")
    return sum(map(int, re.findall(r"^Size in memory: (\d+)$", listing, re.MULTILINE))) / 2**20


def measure_seed_way(bench: Bench, clients: int) -> None:
    """Record what the seed's way takes for the same topology: its agent is a program that nobody has written."""
    described = seed_way.describe(parse(operator("ipset", **sizes(bench, clients))))
    with fresh(), tempfile.TemporaryDirectory() as folder:
        for upstream in described.upstreams:
            run_here("ip", "link", "add", upstream.interface, "type", "veth", "peer", "name", f"{upstream.interface}e")
            run_here("ip", "link", "set", upstream.interface, "up")
        seed_way.load(seed_way.commands(described))
        lines = Path(folder) / "split-tunneling.conf"
        lines.write_text(seed_way.configuration(described), encoding="ascii")
        run_here("ip", "address", "add", "10.7.0.1/32", "dev", "lo")
        options = ("--keep-in-foreground", "--no-resolv", "--listen-address=10.7.0.1", "--bind-interfaces")
        dnsmasq = subprocess.Popen(["dnsmasq", *options, f"--conf-file={lines}", f"--pid-file={folder}/pid"])
        try:
            asking = ("dig", "+time=1", "+tries=1", "@10.7.0.1", "version.bind", "chaos", "txt")
            wait_for(lambda: not subprocess.call(asking, stdout=subprocess.DEVNULL), "the seed's dnsmasq", 120)
            samples = [memory([dnsmasq.pid]) for _ in range(bench.options.rounds)]
        finally:
            dnsmasq.kill()
            dnsmasq.wait()
        bench.row("dnsmasq", samples, "MB", backend="the seed's way", clients=clients)
        bench.row("the kernel's ipsets", [ipsets()], "MB", backend="the seed's way", clients=clients)


if __name__ == "__main__":
    main()
