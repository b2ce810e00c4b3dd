#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well clients keep to their rates, and what rates cost those who have none; root, in network namespaces.

"Kept": iperf3 for each client at the same time, each with the same rate, down and then up; a sample a client, in parts
of its rate. "TCP": iperf3 of a client without a rate, beside the others' and on a gateway without rates, in turn.
"Packets": small packets on one processor, as in the bench packets, of clients without a rate, and of clients whose rate
is more than they send, by the number of clients that have one: who looks up one class among many has to pay for one.
The backend makes no difference, since rates are of neither.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from benchkit.bench import Bench, numbers
from benchkit.forwarding import Gateway
from benchkit.interleaved import interleaved, ratio
from benchkit.sender import Flow
from benchkit.sizes import address
from namespaces import Namespace, NamespaceSystem, Network, fresh, private_mounts, run_here
from speed import Run, megabits

from splitway.reconcile import qos
from splitway.state import Qos, RatedClient

WEB = "10.90.0.9"
MBIT = 1_000_000
MORE_THAN_SENT = 10_000 * MBIT
NONE = "no rates"


def main() -> None:
    """Measure what the command line asks for."""
    bench = Bench("rates", __doc__, rounds=3)
    option = bench.parser.add_argument
    option("--clients", type=numbers, default=[1, 2, 200], help="numbers of clients at a time (%(default)s)")
    option("--megabits", type=float, default=1, help="the rate of each, down and up (%(default)s)")
    option("--seconds", type=int, default=10, help="of each run of iperf3 (%(default)s)")
    option("--rated", type=numbers, default=[1, 200, 5000], help="numbers of clients with a rate (%(default)s)")
    option("--flows", type=int, default=1000, help="flows of small packets (%(default)s)")
    option("--packets", type=int, default=50000, help="small packets of one sample (%(default)s)")
    bench.parse()
    if not shutil.which("iperf3"):
        raise SystemExit("iperf3 is not installed: tests/prepare-machine bench")
    private_mounts()
    for number in bench.options.clients:
        kept(bench, number)
    tcp(bench)
    for direction in ("up", "down"):
        packets(bench, direction)
    bench.finish()


def client_address(index: int) -> str:
    return address("v4", index + 2)


def rated(count: int, rate: float, first: int = 0) -> Qos:
    """Return the section in which so many clients have this rate, bits per second."""
    return Qos(
        "wg0",
        tuple(
            RatedClient(f"client{index}", index + 1, (client_address(index + first),), int(rate), int(rate))
            for index in range(count)
        ),
    )


def bring(wanted: Qos | None) -> None:
    """Bring the section into this namespace."""
    with tempfile.TemporaryDirectory() as folder:
        system = NamespaceSystem(Path(folder))
        qos.apply(system, qos.plan(wanted, qos.read(system, wanted)))


@contextlib.contextmanager
def wires(clients: int) -> Iterator[tuple[Namespace, Namespace]]:
    """Yield the clients' host and the web's on both sides of this namespace, a gateway that only forwards."""
    with fresh(), contextlib.ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        host, web = network.host("clients"), network.host("web")
        network.connect(host, "wg0", ("10.8.0.1/14",), tuple(f"{client_address(index)}/14" for index in range(clients)))
        network.connect(web, "uplink", ("10.90.0.1/24",), (f"{WEB}/24",))
        run_here("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        yield host, web


def kept(bench: Bench, number: int) -> None:
    """Measure what each of so many clients gets of its rate, all at a time."""
    rate = bench.options.megabits
    with wires(number) as (host, web):
        bring(rated(number, rate * MBIT))
        for direction in ("down", "up"):
            runs = [Run(host, web, client_address(index), WEB, down=direction == "down") for index in range(number)]
            parts = sorted(found / rate for found in megabits(runs, bench.options.seconds))
            bench.row(f"{direction}: of its rate", parts, "×", clients=number, megabits=f"{rate:g}")
            furthest = max(abs(part - 1) for part in parts)
            what = f"{direction}, {number} at {rate:g} Mbit/s: furthest from its rate"
            bench.target(what, 100 * furthest, "%", at_most=10)


def tcp(bench: Bench) -> None:
    """Measure TCP of a client without a rate, beside clients that have one."""
    others, seconds = max(bench.options.rated), max(1, bench.options.seconds // 5)
    ways: dict[str, Callable[[], float]] = {}
    with contextlib.ExitStack() as stack:
        for name, section in (
            ("beside rates", rated(others, bench.options.megabits * MBIT, first=1)),
            (NONE, None),
        ):
            host, web = stack.enter_context(wires(1))
            bring(section)
            for direction in ("down", "up"):
                run = Run(host, web, client_address(0), WEB, down=direction == "down")
                ways[f"{direction}: {name}"] = lambda run=run: megabits([run], seconds)[0] / 1000
        found = interleaved(ways, bench.options.rounds)
    for name, samples in found.items():
        bench.row(f"TCP without a rate, {name}", samples, "Gbit/s", rated=others)
    for direction in ("down", "up"):
        both = ratio(found[f"{direction}: beside rates"], found[f"{direction}: {NONE}"])
        bench.target(f"TCP without a rate, {direction}, beside {others} with one / {NONE}", both, "×", at_least=0.9)


def packets(bench: Bench, direction: str) -> None:
    """Measure small packets of clients without and with a rate, by the number of clients with one."""
    flows = bench.options.flows
    with contextlib.ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        samplers = {}
        for whose in ("without a rate", "with one"):
            for count in (0, *bench.options.rated) if whose == "without a rate" else bench.options.rated:
                gateway = Gateway(network, f"{whose[:5].strip()}{count}", 1)
                stack.callback(gateway.close)
                first = 60_000 if whose == "without a rate" else 0  # the senders are the first ones, always
                with gateway.namespace.entered():
                    bring(rated(count, MORE_THAN_SENT, first) if count else None)
                senders = [
                    Flow(client_address(index % max(1, count)), 1024 + index, "198.18.0.1") for index in range(flows)
                ]
                forward = gateway.sender(senders)
                forward.send(flows)
                way = forward if direction == "up" else gateway.replies(senders)
                samplers[f"{whose}, {count}"] = lambda way=way: bench.options.packets / way.send(bench.options.packets)
        found = interleaved(samplers, bench.options.rounds)
    for name, samples in found.items():
        whose, _, count = name.rpartition(", ")
        bench.row(f"packets {direction} of clients {whose}", samples, "packets/s", rated=int(count))
    fewest, most = min(bench.options.rated), max(bench.options.rated)
    without = ratio(found[f"without a rate, {most}"], found["without a rate, 0"])
    bench.target(f"packets {direction}, without a rate beside {most} / {NONE}", without, "×", at_least=0.75)
    bench.target(
        f"packets {direction}, with a rate, one of {most} / of {fewest}",
        ratio(found[f"with one, {most}"], found[f"with one, {fewest}"]),
        "×",
        at_least=0.8,
    )


if __name__ == "__main__":
    main()
