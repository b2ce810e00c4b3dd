# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast TCP is between two namespaces, several connections at a time, by iperf3."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from namespaces import Namespace, wait_for

_PORTS = itertools.count(5301)


@dataclass(frozen=True)
class Run:
    """One connection: who asks whom, from which address, and whether the answer is what is measured."""

    client: Namespace
    server: Namespace
    source: str
    destination: str
    down: bool = False


def megabits(runs: list[Run], seconds: float = 4) -> list[float]:
    """Return what each run moved in megabits per second, as its receiver counted, all at the same time.

    The first second, in which TCP finds out how fast it may be, does not count.
    """
    ports = [next(_PORTS) for _ in runs]
    for run, port in zip(runs, ports):
        run.server.start("iperf3", "--server", "--one-off", "--port", str(port))
    for server in {id(run.server): run.server for run in runs}.values():
        mine = sum(run.server is server for run in runs)
        wait_for(lambda server=server, mine=mine: _listening(server, ports) == mine, "iperf3", 30)  # type: ignore[misc]
    started = [_start(run, port, seconds) for run, port in zip(runs, ports)]
    return [_received(process.communicate(timeout=seconds + 30)[0]) for process in started]


def settles(runs: list[Run], fits: Callable[..., bool], seconds: float = 3) -> bool:
    """Return whether what each run moves fits, in one of three trials: a busy machine may keep TCP from it."""
    for _ in range(3):
        moved = megabits(runs, seconds)
        print(f"moved: {', '.join(f'{rate:.1f}' for rate in moved)} Mbit/s")
        if fits(*moved):
            return True
    return False


def _listening(server: Namespace, ports: list[int]) -> int:
    lines = server.run("ss", "-Hltn").splitlines()
    return len({int(line.split()[3].rpartition(":")[2]) for line in lines} & set(ports))


def _start(run: Run, port: int, seconds: float) -> subprocess.Popen[str]:
    argv = ["iperf3", "--json", "--client", run.destination, "--bind", run.source, "--port", str(port)]
    return run.client.start(*argv, "--time", f"{seconds:.0f}", "--omit", "1", *(["--reverse"] if run.down else []))


def _received(text: str) -> float:
    result = json.loads(text)
    assert "error" not in result, result
    return float(result["end"]["sum_received"]["bits_per_second"]) / 1e6
