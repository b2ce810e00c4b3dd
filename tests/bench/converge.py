#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml on installed gateways (packages and engine are there) of a topology of the given size.

Measured over the docker connection and over ssh: the first run of the topology, runs without a change, how many tasks
the host had; over docker: runs with a client more, with a rule changed. Seconds are from the start of ansible-playbook
to its end. Then unchanged runs on 1, 4, … gateways with as many forks: the CPU seconds that the controller needs for
each host more (user and system, all processes of ansible-playbook; what the gateways themselves need is not in it).

The gateways are containers of the lab's image on this machine, made and removed by the bench; they use the same
processors as the controller, so the wall time is that of both together.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import yaml
from benchkit import REPOSITORY
from benchkit.bench import Bench, numbers
from benchkit.containers import Container, engine_answers, gateways, inventory, watchers
from benchkit.sizes import address, key, variables

CHANGED_OVER = "docker"
"""The connection for what does not depend on it."""


@dataclass(frozen=True)
class Run:
    """One run of site.yml."""

    seconds: float
    processor: float  # seconds of the controller
    tasks: int  # of the host that had most
    changed: int


def main() -> None:
    """Measure, print, and write bench/results/converge.json."""
    bench = Bench("converge", __doc__, rounds=5)
    add = bench.parser.add_argument
    add("--clients", type=int, default=5000)
    add("--policies", type=int, default=200)
    add("--upstreams", type=int, default=50)
    add("--lists", type=int, default=100)
    add("--domains", type=int, default=40000, help="of all lists (%(default)s)")
    add("--networks", type=int, default=10000, help="of all lists (%(default)s)")
    add("--backend", choices=("ipset", "nftables"), default="ipset")
    add("--connections", default="docker,ssh", help="%(default)s")
    add("--gateways", type=numbers, default=[1, 4], help="how many hosts at once (1,4)")
    add(
        "--log",
        type=Path,
        help="a file for what ansible-playbook says (with ANSIBLE_CALLBACKS_ENABLED: where time goes)",
    )
    options = bench.parse()
    if not engine_answers():
        print("skipped: no Docker engine answers")
        return
    sizes = {name: getattr(options, name) for name in ("clients", "policies", "upstreams", "lists")}
    lists = {"domains": options.domains, "networks": options.networks}
    operator = {**variables(**sizes, **lists), "splitway_backend": options.backend}
    operator["splitway_server"]["private_key"] = key(f"server {options.seed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        private = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", private], check=True)
        most = max(options.gateways)
        with watchers(most, options.upstreams), gateways(most, private.with_suffix(".pub").read_text()) as hosts:
            playbook = Playbook(folder, private, options.log)
            for connection in options.connections.split(","):
                _first(bench, playbook, hosts[0], connection, operator)
            _changed(bench, playbook, hosts[0], operator)
            _together(bench, playbook, hosts, operator)
    bench.finish()


class Playbook:
    """Runs site.yml with an inventory in a folder of the bench."""

    def __init__(self, folder: Path, private_key: Path, log: Optional[Path] = None) -> None:
        self.folder = folder
        self.private_key = private_key
        self.log = log

    def run(self, hosts: list[Container], connection: str, operator: Mapping[str, Any]) -> Run:
        """Run it with these variables as those of the group; the bench ends when it fails."""
        path = inventory(hosts, connection, self.folder, self.private_key)
        written = self.folder / "group_vars/splitway_gateways.yml"
        written.parent.mkdir(exist_ok=True)
        written.write_text(yaml.dump(dict(operator), Dumper=_Dumper, sort_keys=False), encoding="ascii")
        argv = ["ansible-playbook", "--inventory", path, "--forks", str(len(hosts)), REPOSITORY / "playbooks/site.yml"]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / ".cache/collections"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "control"),
            "ANSIBLE_NOCOLOR": "1",
        }
        before, started = _children(), time.perf_counter()
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
        seconds, processor = time.perf_counter() - started, _children() - before
        if done.returncode:
            raise SystemExit(f"{done.stdout[-4000:]}{done.stderr[-2000:]}")
        if self.log:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(done.stdout)
        recap = re.findall(r": ok=(\d+) +changed=(\d+) .* skipped=(\d+)", done.stdout)
        tasks = max(int(ok) + int(skipped) for ok, _, skipped in recap)
        return Run(seconds, processor, tasks, sum(int(changed) for _, changed, _ in recap))


class _Dumper(yaml.CSafeDumper):
    """Writes no anchors: no operator would."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _first(bench: Bench, playbook: Playbook, host: Container, connection: str, operator: dict[str, Any]) -> None:
    """Measure the first run of the topology, on a gateway that had a small one, and the run after it."""
    small = {**variables(2, 1, 1, 1, 1, 1), "splitway_backend": bench.options.backend}
    smalls, firsts, unchanged = zip(
        *(
            [playbook.run([host], connection, each) for each in (small, operator, operator)]
            for _ in range(bench.options.rounds)
        )
    )
    if not all(run.changed for run in firsts) or any(run.changed for run in unchanged):
        raise SystemExit("a first run of the topology changed nothing, or a run without a change changed something")
    first = _rows(bench, "first run of the topology", firsts, connection)
    same = _rows(bench, "unchanged", unchanged, connection)
    tasks = max(run.tasks for run in firsts)
    bench.row("tasks of a host", [tasks], "", clients=bench.options.clients, connection=connection)
    bench.target(f"first run over {connection}", first, "s", at_most=60)
    bench.target(f"unchanged over {connection}", same, "s", at_most=20)
    bench.target(f"tasks of a host over {connection}", tasks, "", at_most=25)
    more = tasks - max(run.tasks for run in smalls)
    bench.target(f"tasks more than with 2 clients, over {connection}", more, "", at_most=0)


def _changed(bench: Bench, playbook: Playbook, host: Container, operator: dict[str, Any]) -> None:
    """Measure runs in which one thing is another than in the run before, a client or a rule."""
    runs: dict[str, list[Run]] = {"one client more": [], "one rule changed": []}
    for number in range(bench.options.rounds):
        operator = _one_client_more(operator, number)
        runs["one client more"].append(playbook.run([host], CHANGED_OVER, operator))
        operator = _one_rule_changed(operator, number)
        runs["one rule changed"].append(playbook.run([host], CHANGED_OVER, operator))
    for what, samples in runs.items():
        if not all(run.changed for run in samples):
            raise SystemExit(f"{what}: nothing was changed")
        _rows(bench, what, samples, CHANGED_OVER)


def _rows(bench: Bench, what: str, runs: Sequence[Run], connection: str, **sizes: int) -> float:
    size = {"clients": bench.options.clients, "connection": connection, **sizes}
    bench.row(f"{what}: controller's CPU", [run.processor for run in runs], "s", **size)
    return bench.row(what, [run.seconds for run in runs], "s", **size)


def _one_client_more(operator: dict[str, Any], number: int) -> dict[str, Any]:
    clients = operator["splitway_clients"]
    client = {
        "name": f"new{number}",
        "addresses": [address("v4", len(clients) + 2), address("v6", len(clients) + 2)],
        "public_key": key(f"new {number}"),
        "policy": next(iter(operator["splitway_policies"])),
    }
    return {**operator, "splitway_clients": [*clients, client]}


def _one_rule_changed(operator: dict[str, Any], number: int) -> dict[str, Any]:
    name, policy = next(iter(operator["splitway_policies"].items()))
    rules = [{"domain": f"changed{number}.example", "egress": "direct"}, *policy["rules"][1:]]
    return {**operator, "splitway_policies": {**operator["splitway_policies"], name: {**policy, "rules": rules}}}


def _together(bench: Bench, playbook: Playbook, hosts: list[Container], operator: dict[str, Any]) -> None:
    """Measure unchanged runs on some hosts at once, and what each host more than one costs the controller."""
    playbook.run(hosts, CHANGED_OVER, operator)
    runs: dict[int, list[Run]] = {count: [] for count in sorted({1, *bench.options.gateways})}
    for _ in range(bench.options.rounds):
        for count, samples in runs.items():
            samples.append(playbook.run(hosts[:count], CHANGED_OVER, operator))
    extra = []
    for count, samples in runs.items():
        _rows(bench, "unchanged, hosts at once", samples, CHANGED_OVER, hosts=count)
        if count > 1:
            more = [(run.processor - one.processor) / (count - 1) for run, one in zip(samples, runs[1])]
            size = {"clients": bench.options.clients, "connection": CHANGED_OVER, "hosts": count}
            extra.append(bench.row("controller's CPU for a host more", more, "s", **size))
    if extra:
        bench.target("controller's CPU for a host more", extra[-1], "s", at_most=4)


def _children() -> float:
    """Return the CPU seconds of all processes that were started by this one and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
