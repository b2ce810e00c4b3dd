# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the engine takes on a host: read, plan and apply all sections; root, in a network namespace.

Run as `make bench`. Prints one line a step and backend: seconds by section and in all. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [
    str(REPOSITORY / "plugins/module_utils"),
    str(REPOSITORY / "tests/kernel"),
    str(REPOSITORY / "tests/bench"),
]

from namespaces import NamespaceSystem, fresh, private_mounts  # noqa: E402
from sizes import variables  # noqa: E402

from splitway.compiler import compile_state  # noqa: E402
from splitway.state import SECTIONS, State  # noqa: E402
from splitway.store import Store  # noqa: E402
from splitway.topology import parse  # noqa: E402
from splitway.transaction import begin, bring, commit  # noqa: E402


def main() -> None:
    """Measure both backends at the size of the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("clients", 1000), ("policies", 50), ("upstreams", 20), ("lists", 50), ("domains", 5000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    sizes = vars(parser.parse_args())
    print(", ".join(f"{number} {name}" for name, number in sizes.items()))
    private_mounts()
    print(f"{'':28}{''.join(f'{section:>11}' for section in SECTIONS)}{'commit':>11}{'all':>11}  s")
    for backend in ("ipset", "nftables"):
        with fresh(), tempfile.TemporaryDirectory() as folder:
            measure(NamespaceSystem(Path(folder)), backend, sizes)


def measure(system: NamespaceSystem, backend: str, sizes: dict[str, int]) -> None:
    """Print the times of runs from nothing, without a change, and with one rule changed."""
    operator = {**variables(**sizes), "splitway_backend": backend}
    started = time.perf_counter()
    state = compile_state(parse(operator), {})
    print(f"{backend + ': compile':28}{'':77}{time.perf_counter() - started:11.3f}")
    store = Store(system)
    try:
        run(store, f"{backend}: from nothing", state)
        for _ in range(3):
            run(store, f"{backend}: unchanged", state)
        operator["splitway_policies"]["policy1"]["rules"][0] = {"domain": "changed.example", "egress": "up1"}
        run(store, f"{backend}: one rule changed", compile_state(parse(operator), state.numbers))
        operator["splitway_clients"].append({**operator["splitway_clients"][0], "name": "another"})
        operator["splitway_clients"][-1].update(
            addresses=["10.9.255.250"], public_key=operator["splitway_server"]["private_key"]
        )
        run(store, f"{backend}: one client more", compile_state(parse(operator), state.numbers))
    finally:
        system.plain_units.close()


def run(store: Store, title: str, state: State) -> None:
    """Bring a state to the host as one transaction and print how long each part took."""
    times = []
    begin(store, "bench")
    for section in SECTIONS:
        started = time.perf_counter()
        bring(store, section, getattr(state, section), backend=state.backend, transaction="bench", purge=True)
        times.append(time.perf_counter() - started)
    started = time.perf_counter()
    commit(store, "bench", state.numbers)
    times.append(time.perf_counter() - started)
    print(f"{title:28}{''.join(f'{seconds:11.3f}' for seconds in times)}{sum(times):11.3f}", flush=True)


if __name__ == "__main__":
    main()
