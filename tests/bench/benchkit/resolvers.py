# SPDX-License-Identifier: GPL-3.0-or-later
"""Two resolvers that a client can ask: our dnsmasq on a gateway of ours, and a plain one; one name server behind both.

client ── wg0 ──── gateway (the caller's namespace) ── 10.90.0.0/24 ──┐
       └─ plain0 ─ plain host ──────────────────────── 10.91.0.0/24 ──┴─ name server
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import re
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from namespaces import Namespace, NamespaceSystem, Network, fresh, wait_for

from benchkit.sizes import key
from splitway.agent.names.learned import Names
from splitway.compiler import compile_state
from splitway.reconcile import sets
from splitway.reconcile.dns.text import OWN_NAME, UNIT
from splitway.state import State
from splitway.store import Store
from splitway.topology import parse
from splitway.transaction import begin, bring, commit

OURS, PLAIN = "10.8.0.1", "10.7.0.1"
CACHE = 10_000  # names that either of them keeps
SECTIONS = ("sets", "dns", "marks")
BENCH = "bench"


def operator(backend: str, lists: Mapping[str, Sequence[str]], networks: int) -> dict[str, Any]:
    """Return variables of one client whose policy names all these lists, and `networks` networks on ten more."""
    by_list: dict[str, dict[str, Sequence[str]]] = {name: {"domains": domains} for name, domains in lists.items()}
    for number in range(min(10, networks)):
        by_list[f"networks{number}"] = {"networks": [network(index) for index in range(number, networks, 10)]}
    return {
        "splitway_backend": backend,
        "splitway_server": {"interface": "wg0", "addresses": [f"{OURS}/24"], "endpoint": "vpn.example.net"},
        "splitway_dns": {"servers": ["10.90.0.9"], "cache_size": CACHE},
        "splitway_upstreams": [{"name": "up", "endpoint": "198.51.100.1:51820", "public_key": key("exit")}],
        "splitway_lists": by_list,
        "splitway_policies": {"all": {"rules": [{"list": name, "egress": "up"} for name in by_list]}},
        "splitway_clients": [{"name": "client", "addresses": ["10.8.0.2"], "policy": "all"}],
        "splitway_agent": {"metrics": False, "warm_up": False},
    }


def network(index: int) -> str:
    """Return the network number `index`, of 131,072 that do not touch, in 100.64.0.0/10."""
    return f"{ipaddress.IPv4Address('100.64.0.0') + 32 * index}/28"


@dataclass(frozen=True)
class Run:
    """What one run of dnsperf found out."""

    rate: float  # answers/s
    latency: float  # µs
    processor: float  # µs of dnsmasq's own process an answer
    answers: int


@dataclass(frozen=True)
class Resolvers:
    """Both, as the client sees them."""

    system: NamespaceSystem
    store: Store
    state: State
    client: Namespace
    processes: Mapping[str, int]  # of the dnsmasq at an address

    def ask(self, server: str, questions: Path, *options: str) -> Run:
        """Ask a server a file of questions. Raises SystemExit when one of them is not answered."""
        before = processor(self.processes[server])
        output = self.client.run("dnsperf", "-s", server, "-d", str(questions), *options)
        spent = processor(self.processes[server]) - before
        completed, lost = (int(_figure(rf"Queries {word}: +(\d+)", output)) for word in ("completed", "lost"))
        if lost or f"NOERROR {completed} " not in output:
            raise SystemExit(f"{server} did not answer everything:\n{output}")
        rate = _figure(r"Queries per second: +([\d.]+)", output)
        latency = _figure(r"Average Latency \(s\): +([\d.]+)", output)
        return Run(rate, 1e6 * latency, 1e6 * spent / completed, completed)

    def missing(self, asked: Mapping[str, str]) -> list[str]:
        """Return the names (of name → address) whose address is not in each of its sets."""
        assert self.state.dns is not None
        names = Names(self.state.dns.lines)
        members = {name: item.remaining() for name, item in sets.read_learned(self.system, self.state.backend).items()}
        return [
            name
            for name, address in asked.items()
            if not (belongs := names.sets_of(name, address)) or any(address not in members[one] for one in belongs)
        ]


def _figure(pattern: str, output: str) -> float:
    match = re.search(pattern, output)
    if match is None:
        raise SystemExit(f"dnsperf did not say {pattern}:\n{output}")
    return float(match[1])


def processor(process: int) -> float:
    """Return the processor seconds that a process has taken, to the nanosecond."""
    return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def resident(process: int) -> float:
    """Return the resident memory of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextlib.contextmanager
def resolvers(operator_: dict[str, Any], answers: Mapping[str, str]) -> Iterator[Resolvers]:
    """Yield both; the name server knows these names. Asks for `private_mounts()` before."""
    with fresh(), tempfile.TemporaryDirectory() as folder:
        system, net = NamespaceSystem(Path(folder)), Network()
        try:
            client, internet, plain = (net.host(name) for name in ("client", "internet", "plain"))
            net.connect(client, "wg0", (f"{OURS}/24",), ("10.8.0.2/24",))
            net.connect(internet, "uplink", ("10.90.0.1/24",), ("10.90.0.9/24",))
            with plain.entered():
                net.connect(client, "plain0", (f"{PLAIN}/24",), ("10.7.0.2/24",))
                net.connect(internet, "plain1", ("10.91.0.1/24",), ("10.91.0.9/24",))
            _serve(internet, Path(folder), answers)
            process = _plain(plain, Path(folder))
            store = Store(system)
            state = compile_state(parse(operator_), {})
            begin(store, BENCH)
            for section in SECTIONS:
                backend = state.backend if section != "dns" else None
                bring(store, section, getattr(state, section), backend=backend, transaction=BENCH, purge=True)
            commit(store, BENCH, state.numbers)
            store.publish(state)  # whole: for the agent's journal
            for server in (OURS, PLAIN):
                _wait(client, server, OWN_NAME if server == OURS else next(iter(answers)))
            yield Resolvers(system, store, state, client, {OURS: system.units.pids(UNIT)[0], PLAIN: process.pid})
        finally:
            system.plain_units.close()
            net.close()


def republish(resolvers_: Resolvers, lines: Collection[str]) -> None:
    """Bring other names to the gateway, as a run of site.yml does."""
    assert resolvers_.state.dns is not None
    desired = dataclasses.replace(resolvers_.state.dns, lines=tuple(lines))
    begin(resolvers_.store, BENCH)
    bring(resolvers_.store, "dns", desired, backend=None, transaction=BENCH, purge=True)
    commit(resolvers_.store, BENCH, resolvers_.state.numbers)


def _serve(host: Namespace, folder: Path, answers: Mapping[str, str]) -> None:
    """Start the name server: a dnsmasq that answers from memory."""
    (folder / "answers").write_text("".join(f"{address} {name}\n" for name, address in answers.items()))
    (folder / "internet.conf").write_text(
        f"no-resolv\nno-hosts\nbind-interfaces\nlisten-address=10.90.0.9,10.91.0.9\nlocal-ttl=300\n"
        f"addn-hosts={folder}/answers\nlocal=/#/\nuser=root\npid-file=\n"
    )
    host.start("dnsmasq", "--keep-in-foreground", f"--conf-file={folder}/internet.conf")
    for server in ("10.90.0.9", "10.91.0.9"):
        _wait(host, server, next(iter(answers)))


def _plain(host: Namespace, folder: Path) -> subprocess.Popen[str]:
    # A gateway to the Internet masquerades, and so follows all connections: this one does, too.
    host.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "plain1", "-j", "MASQUERADE")
    (folder / "plain.conf").write_text(
        f"no-resolv\nno-hosts\ninterface=plain0\nbind-dynamic\nserver=10.91.0.9\ncache-size={CACHE}\n"
        "user=dnsmasq\npid-file=\n"
    )
    # A session of its own, as ours has: the kernel divides processor time between sessions (sched_autogroup).
    return host.start("setsid", "dnsmasq", "--keep-in-foreground", f"--conf-file={folder}/plain.conf")


def _wait(host: Namespace, server: str, name: str) -> None:
    wait_for(lambda: "status: " in host.run("dig", f"@{server}", "+tries=1", "+time=1", name, check=False), server)
