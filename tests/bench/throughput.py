#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many bits a second go through a gateway: iperf3 from a client's tunnel to the exits; root.

The ways are: direct (client ══ gateway ── server), one upstream (client ══ gateway ══ exit), and a balance group over
two upstreams; through a gateway of ours on both backends and, for the first two and in turn, through one that forwards
between the same tunnels without any rule of ours (benchkit/tunnels.py). With wireguard-go the processor time of the
gateway's own processes is printed as well: on a machine of few cores both ends of all tunnels share them.
"""

from __future__ import annotations

import json
import shutil

from benchkit.bench import Bench
from benchkit.interleaved import interleaved, ratio
from benchkit.tunnels import BALANCED, BARE, DIRECT, OURS, TUNNELLED, Tunnels, tunnels
from namespaces import private_mounts, wait_for

WAYS = {
    (OURS, "direct"): DIRECT,
    (BARE, "direct"): DIRECT,
    (OURS, "one upstream"): TUNNELLED,
    (BARE, "one upstream"): TUNNELLED,
    (OURS, "balance over two"): BALANCED,
}


def main() -> None:
    """Measure both backends."""
    bench = Bench("throughput", __doc__)
    bench.parser.add_argument("--seconds", type=int, default=3, help="of each run (%(default)s)")
    bench.parser.add_argument("--streams", type=int, default=4, help="TCP connections at a time (%(default)s)")
    bench.parse()
    for program in ("iperf3", "wg-quick"):
        if not shutil.which(program):
            raise SystemExit(f"{program} is not installed: tests/prepare-machine bench")
    private_mounts()
    for backend in ("ipset", "nftables"):
        with tunnels(backend) as both:
            measure(bench, both, backend)
    bench.finish()


def measure(bench: Bench, both: Tunnels, backend: str) -> None:
    """Measure all ways."""
    spent: dict[str, list[float]] = {}

    def run(gateway: str, way: str) -> float:
        before = both.processor(gateway)
        rate = iperf(both, gateway, WAYS[gateway, way], bench.options.seconds, bench.options.streams)
        moved = rate * bench.options.seconds / 8  # GB
        spent.setdefault(f"{way}, {gateway}", []).append((both.processor(gateway) - before) / moved)
        return rate

    rates = interleaved(
        {f"{way}, {gateway}": lambda gateway=gateway, way=way: run(gateway, way) for gateway, way in WAYS},
        bench.options.rounds,
    )
    sizes = {"backend": backend, "wireguard": both.wireguard}
    for name, found in rates.items():
        bench.row(name, found, "Gbit/s", **sizes)
        if both.wireguard != "kernel":
            bench.row(f"{name}: processor", spent[name][1:], "s/GB", **sizes)
    for way in ("direct", "one upstream"):
        ours, bare = rates[f"{way}, {OURS}"], rates[f"{way}, {BARE}"]
        bench.row(f"{way}, ours of bare", [a / b for a, b in zip(ours, bare)], "", **sizes)
    of_bare = ratio(rates[f"one upstream, {OURS}"], rates[f"one upstream, {BARE}"])
    bench.target(f"one upstream, of a bare tunnel ({backend})", of_bare, "", at_least=0.95)


def iperf(both: Tunnels, gateway: str, address: str, seconds: int, streams: int) -> float:
    """Return the Gbit/s that arrive. Raises SystemExit when three runs fail."""
    argv = ("timeout", str(seconds + 20), "iperf3", "--json", "-c", address, "-t", str(seconds))
    for _ in range(3):
        # One server a run: on a busy machine the end of a test does not always reach it, and it waits for ever.
        server = both.internet.start("iperf3", "--server", "--one-off")
        wait_for(lambda: both.internet.run("ss", "-Hlnt", "sport = :5201"), "iperf3")
        output = both.clients[gateway].run(*argv, "-P", str(streams), check=False)
        server.kill()
        server.wait()
        result = json.loads(output or '{"error": "no end"}')
        if "error" not in result:
            return float(result["end"]["sum_received"]["bits_per_second"]) / 1e9
    raise SystemExit(f"iperf3 to {address}, {gateway}: {result['error']}")


if __name__ == "__main__":
    main()
