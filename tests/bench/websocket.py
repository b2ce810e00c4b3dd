#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What WireGuard inside a WebSocket costs, beside the same WireGuard by UDP: iperf3 and ping, in turn; root.

By nginx and websocat, and by wstunnel where one is found (on PATH, or named by SPLITWAY_WSTUNNEL): benchkit/relayed.py.
Both ends, their WireGuard, their TLS and iperf3 share the machine's processors, as they do not where they are of use.
"""

from __future__ import annotations

import json
import re
import shutil

from benchkit.bench import Bench
from benchkit.interleaved import interleaved, ratio
from benchkit.relayed import UDP, address_of, programs, relayed
from namespaces import Namespace, private_mounts, wait_for


def main() -> None:
    """Measure all ways that this machine has."""
    bench = Bench("websocket", __doc__)
    bench.parser.add_argument("--seconds", type=int, default=3, help="of each run of iperf3 (%(default)s)")
    bench.parser.add_argument("--streams", type=int, default=4, help="TCP connections at a time (%(default)s)")
    bench.parser.add_argument("--pings", type=int, default=50, help="of each round (%(default)s)")
    options = bench.parse()
    for program in ("iperf3", "nginx", "wg-quick"):
        if not shutil.which(program):
            raise SystemExit(f"{program} is not installed: tests/prepare-machine bench")
    ways = [UDP, *programs()]
    private_mounts()
    with relayed(ways) as (near, far):
        rates = interleaved(
            {way: lambda way=way: iperf(near, far, way, options.seconds, options.streams) for way in ways},
            options.rounds,
        )
        times = interleaved({way: lambda way=way: ping(near, way, options.pings) for way in ways}, options.rounds)
    for way in ways:
        bench.row("throughput", rates[way], "Gbit/s", by=way)
    for way in ways:
        bench.row("round trip", times[way], "ms", by=way)
    for way in ways[1:]:
        bench.row("throughput, of UDP's", [a / b for a, b in zip(rates[way], rates[UDP])], "", by=way)
        bench.target(f"throughput by {way}, of UDP's", ratio(rates[way], rates[UDP]), "", at_least=0.2)
    bench.finish()


def iperf(near: Namespace, far: Namespace, way: str, seconds: int, streams: int) -> float:
    """Return the Gbit/s that arrive at the far end. Raises SystemExit when they cannot be told."""
    server = far.start("iperf3", "--server", "--one-off")
    wait_for(lambda: far.run("ss", "-Hlnt", "sport = :5201"), "iperf3")
    argv = ("timeout", str(seconds + 20), "iperf3", "--json", "-c", address_of(way), "-t", str(seconds))
    result = json.loads(near.run(*argv, "-P", str(streams), check=False) or '{"error": "no end"}')
    server.kill()
    server.wait()
    if "error" in result:
        raise SystemExit(f"iperf3 by {way}: {result['error']}")
    return float(result["end"]["sum_received"]["bits_per_second"]) / 1e9


def ping(near: Namespace, way: str, count: int) -> float:
    """Return the mean round trip of small packets, ms."""
    said = near.run("ping", "-q", "-i", "0.01", "-c", str(count), address_of(way))
    found = re.search(r"= [0-9.]+/([0-9.]+)/", said)
    if found is None:
        raise SystemExit(f"ping by {way}: {said}")
    return float(found[1])


if __name__ == "__main__":
    main()
