# SPDX-License-Identifier: GPL-3.0-or-later
"""What an idle agent costs at size: memory (PSS) and processor time, its programs' included; root, in a namespace.

Run as `make bench`. Every upstream is up and answers probes; nobody moves data. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
PATHS = [str(REPOSITORY / folder) for folder in ("plugins/module_utils", "tests/kernel", "tests/bench")]
sys.path[:0] = PATHS

from namespaces import Namespace, NamespaceSystem, Network, fresh, private_mounts, run_here, wait_for  # noqa: E402
from sizes import key, variables  # noqa: E402

from splitway.agent import control  # noqa: E402
from splitway.compiler import compile_state  # noqa: E402
from splitway.state import SECTIONS  # noqa: E402
from splitway.store import Store  # noqa: E402
from splitway.topology import parse  # noqa: E402
from splitway.topology.keys import public_key  # noqa: E402
from splitway.transaction import begin, bring, commit  # noqa: E402

PYTHON = "/usr/bin/python3"  # the agent runs with Debian's
EXIT = "198.51.100.1"  # every upstream's far end, and what its probes ask for
STARTED = 20.0  # seconds until the agent is idle


def main() -> None:
    """Measure both backends at the size of the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("clients", 1000), ("policies", 50), ("upstreams", 20), ("lists", 50), ("domains", 5000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--minutes", type=int, default=2)
    sizes = vars(parser.parse_args())
    minutes = sizes.pop("minutes")
    print(", ".join(f"{number} {name}" for name, number in sizes.items()))
    private_mounts()
    for backend in ("ipset", "nftables"):
        with fresh(), tempfile.TemporaryDirectory() as folder:
            system, network = NamespaceSystem(Path(folder)), Network()
            try:
                measure(system, network, {**operator(sizes), "splitway_backend": backend}, minutes)
            finally:
                network.close()
                system.plain_units.close()


def operator(sizes: dict[str, int]) -> dict[str, Any]:
    """Return variables whose upstreams all lead to one exit, which answers their probes."""
    made = variables(**sizes)
    for upstream in made["splitway_upstreams"]:
        upstream.update(
            endpoint="10.90.0.9:51820",
            public_key=public_key(key("exit")),
            health={"probes": [{"icmp": EXIT}]},
        )
    made["splitway_agent"] = {"metrics": False}
    return made


def measure(system: NamespaceSystem, network: Network, variables_: dict[str, Any], minutes: int) -> None:
    """Print what one minute after the other costs."""
    far = network.host("exit")
    network.connect(far, "uplink", ("10.90.0.1/24",), ("10.90.0.9/24",))
    # Without it the kernel takes no answers out of the tunnels: loose source validation wants some way back.
    run_here("ip", "route", "add", "default", "via", "10.90.0.9")
    play_exit(far, variables_["splitway_upstreams"])
    store = Store(system)
    state = compile_state(parse(variables_), {})
    begin(store, "bench")
    for section in SECTIONS:
        bring(store, section, getattr(state, section), backend=state.backend, transaction="bench", purge=True)
    commit(store, "bench", state.numbers)
    agent = subprocess.Popen([PYTHON, __file__.replace("idle.py", "agent.py"), str(system.configuration.parent)])
    try:
        wait_for((system.runtime / "agent.sock").exists, "the agent", 60)
        wait_for(lambda: all_up(system), "all upstreams up", 60)
        time.sleep(STARTED)
        before = processor(agent.pid)
        for minute in range(minutes):
            time.sleep(60)
            now = processor(agent.pid)
            own, programs = (100 * (b - a) / 60 for a, b in zip(before, now))
            print(
                f"{state.backend}, minute {minute + 1}: PSS {memory(agent.pid):.1f} MB, "
                f"{own + programs:.2f} % of a core ({own:.2f} its own, {programs:.2f} its programs')",
                flush=True,
            )
            before = now
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(30)


def all_up(system: NamespaceSystem) -> bool:
    """Return whether the agent says that every upstream is up."""
    return all(upstream["state"] == "up" for upstream in control.ask(system, "status")["upstreams"])


def play_exit(far: Namespace, upstreams: list[dict[str, Any]]) -> None:
    """Have a namespace answer as the exit of all upstreams."""
    far.run("ip", "address", "add", f"{EXIT}/32", "dev", "lo")
    far.start("wireguard-go", "--foreground", "wg-exit")
    wait_for(lambda: far.succeeds("wg", "show", "wg-exit"), "the exit's WireGuard")
    lines = ["[Interface]", f"PrivateKey = {key('exit')}", "ListenPort = 51820"]
    for upstream in upstreams:
        lines += ["[Peer]", f"PublicKey = {public_key(upstream['private_key'])}"]
        lines.append(f"AllowedIPs = {', '.join(upstream['addresses'])}")
    far.run("wg", "setconf", "wg-exit", "/dev/stdin", input="\n".join(lines) + "\n")
    far.run("ip", "link", "set", "wg-exit", "up")
    for family, network in (("-4", "172.16.0.0/12"), ("-6", "fd20::/16")):
        far.run("ip", family, "route", "add", network, "dev", "wg-exit")


def processor(process: int) -> tuple[float, float]:
    """Return the seconds that a process and its ended children took."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    own_user, own_system, children_user, children_system = (int(field) / ticks for field in fields[11:15])
    return own_user + own_system, children_user + children_system


def memory(process: int) -> float:
    """Return the proportional set size of a process in MB."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
