# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole gateway in a network namespace, as site.yml leaves it; its agent is a process of its own.

All upstreams lead to one exit, a further namespace that answers their probes and forgets what else it gets.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from namespaces import Namespace, NamespaceSystem, Network, fresh, run_here, wait_for

from benchkit import REPOSITORY
from benchkit.sizes import key, variables
from splitway.agent import control
from splitway.compiler import compile_state
from splitway.reconcile.agent.text import MEMORY
from splitway.reconcile.services import WIREGUARD
from splitway.state import SECTIONS, State
from splitway.store import Store
from splitway.topology import parse
from splitway.topology.keys import public_key
from splitway.transaction import begin, bring, commit

PYTHON = "/usr/bin/python3"  # the agent runs with Debian's
AGENT = REPOSITORY / "tests/bench/benchkit/agent.py"
EXIT = "198.51.100.1"  # what the probes ask for
_WIREGUARD = WIREGUARD.partition("@")[0]
SILENT = 180.0  # seconds that the agent may need until it answers


@dataclass(frozen=True)
class Gateway:
    """One gateway, in whose namespace the caller is."""

    system: NamespaceSystem
    store: Store
    state: State

    def wireguard(self) -> list[int]:
        """Return the processes of wireguard-go; none where the kernel has WireGuard."""
        return [process for unit, process in self.system.plain_units.running() if unit.startswith(_WIREGUARD)]


def operator(backend: str, **sizes: int) -> dict[str, Any]:
    """Return variables whose upstreams all lead to one exit, which answers their probes."""
    made = variables(**sizes)
    for upstream in made["splitway_upstreams"]:
        upstream.update(
            endpoint="10.90.0.9:51820", public_key=public_key(key("exit")), health={"probes": [{"icmp": EXIT}]}
        )
    made["splitway_agent"] = {"warm_up": False}  # there is no name server to ask
    made["splitway_dns"] = {"servers": ["10.90.0.9"]}
    made["splitway_backend"] = backend
    return made


@contextlib.contextmanager
def gateway(operator_: dict[str, Any]) -> Iterator[Gateway]:
    """Yield the gateway of these variables; nothing of it is left afterwards. Asks for `private_mounts()` before."""
    with fresh(), tempfile.TemporaryDirectory() as folder:
        system, network = NamespaceSystem(Path(folder)), Network()
        try:
            far = network.host("exit")
            network.connect(far, "uplink", ("10.90.0.1/24",), ("10.90.0.9/24",))
            # Without it the kernel takes no answers out of the tunnels: loose source validation wants some way back.
            run_here("ip", "route", "add", "default", "via", "10.90.0.9")
            play_exit(far, operator_["splitway_upstreams"])
            store = Store(system)
            state = compile_state(parse(operator_), {})
            apply(store, state)
            yield Gateway(system, store, state)
        finally:
            system.plain_units.close()
            network.close()


def apply(store: Store, state: State) -> None:
    """Do what a run of site.yml does."""
    begin(store, "bench")
    for section in SECTIONS:
        backend = state.backend if section in ("sets", "marks") else None
        bring(store, section, getattr(state, section), backend=backend, transaction="bench", purge=True)
    commit(store, "bench", state.numbers)


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


@contextlib.contextmanager
def agent(system: NamespaceSystem, profile: Optional[Path] = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run the agent in the body; it has restored the gateway, and every upstream is up, when the body begins."""
    extra = () if profile is None else ("--profile", str(profile))
    folder = system.configuration.parent
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, str(AGENT), str(folder), *extra],
            stderr=log,
            env={**os.environ, **dict(setting.split("=") for setting in MEMORY.split())},
        )
    try:
        wait_for(lambda: process.poll() is not None or all_up(system), "all upstreams up", SILENT)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def all_up(system: NamespaceSystem) -> bool:
    """Return whether the agent runs and says that every upstream is up."""
    with contextlib.suppress(control.AgentError):
        return all(upstream["state"] == "up" for upstream in control.ask(system, "status")["upstreams"])
    return False
