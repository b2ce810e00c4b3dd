# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each fault is put through: injected under traffic, watched until it is repaired, then judged."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml
from labkit.groups import BEST, wait_for_best_ways
from labkit.hosts import INVENTORY, container, host, wait_until
from labkit.playbooks import playbook_succeeds

from chaoskit import looks
from chaoskit.faults import EVERYTHING, KILL_AGENT, KILL_DNSMASQ, Fault, chosen
from chaoskit.flows import Flow, flows, start_flows, wait_for_flows
from chaoskit.judge import Case, Lab, judge
from chaoskit.report import Outcome

TOPOLOGY = INVENTORY / "group_vars" / "splitway_gateways.yml"
HURTS_US = frozenset(("us",))
# Where flows go while the exit us is dead.
WITHOUT_US = {"group.example": "eu", "legacy.example": "eu", "fallback.example": "direct"}
FAILOVER = 10.0  # seconds until flows are on the next member, with default settings
HANGING = 45.0  # seconds: the watchdog's 30, systemd's patience, the start
START = 30.0  # seconds from Docker's restart of the gateway until all is back
RUN = 120.0  # seconds of a run of site.yml


def endure(lab: Lab, fault: Fault) -> Outcome:
    """Injects a fault and returns what came of it."""
    before = wait_for_flows()
    watch = looks.Watch(chosen(fault.look, lab.backend))
    start = _do(fault.where, chosen(fault.inject, lab.backend))
    back = watch.back()
    return judge(lab, Case(fault.name, before, start, fault.hurts, fault.limit, fault.excused), back)


def endure_dead_exit(lab: Lab, name: str, breaks: list[str], mends: list[str]) -> Outcome:
    """Lets the exit `us` die and come back. Healed: when the flows of its group were on the next member."""
    before = wait_for_flows()
    start = time.time()
    _docker(*breaks)
    try:
        moved = _wait_for_moves(start)
    finally:
        _docker(*mends)
    after = flows()
    wait_for_best_ways(BEST)
    case = Case(name, before, start, HURTS_US, FAILOVER, also={"fallback.example": "direct"})
    # Flows stay where they are: new ones are on us again.
    start_flows()
    return judge(lab, case, moved, after)


def _wait_for_moves(start: float) -> float:
    """Waits until the UDP streams are where they go without us; returns when those of the group were."""

    def elsewhere() -> list[Flow]:
        streams = [flow for flow in flows() if flow.kind == "udp" and flow.target in WITHOUT_US]
        return streams if all(flow.way == WITHOUT_US[flow.target] for flow in streams) else []

    streams = wait_until(elsewhere, f"flows to move: {WITHOUT_US}")
    return max(at for flow in streams if flow.target == "group.example" for at, way in flow.moves if at >= start)


def endure_reboot(lab: Lab) -> Outcome:
    """Restarts the gateway's container, as a reboot does: nothing but its disk is left."""
    before = wait_for_flows()
    look = looks.everything(lab.backend)
    was = "/var/tmp/lab-look"
    host("gw").check_output(f"({look}) >{was} 2>&1")
    start = time.time()
    _docker("restart", container("gw"))
    back = looks.first_time(f"({look}) 2>&1 | cmp --silent - {was}")
    host("gw").check_output(f"rm {was}")
    # The tap is in the network that is gone.
    _docker("restart", "--time", "0", container("tap"))
    lab.wire.know_senders()
    return judge(lab, Case("the gateway rebooted", before, start, EVERYTHING, START), back)


def endure_hanging_agent(lab: Lab) -> Outcome:
    """Stops the agent in the middle of its work. Healed: when systemd has replaced it."""
    before = wait_for_flows()
    process = host("gw").check_output("systemctl show --property MainPID --value splitway").strip()
    start = _do("gw", f"kill -STOP {process}")
    replaced = f'[ "$(systemctl show --property MainPID --value splitway)" != {process} ] && {looks.AGENT}'
    return judge(lab, Case("the agent hangs", before, start, limit=HANGING), looks.first_time(replaced))


def endure_fault_during_run(lab: Lab) -> Outcome:
    """Kills dnsmasq while a run of site.yml that adds a domain is changing the gateway."""
    before = wait_for_flows()
    topology: dict[str, Any] = yaml.safe_load(TOPOLOGY.read_text(encoding="utf-8"))
    lists = topology["splitway_lists"]
    lists["google"]["domains"].append("extra.example")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(playbook_succeeds, "site.yml", variables={"splitway_lists": lists})
        looks.first_time("test -e /run/splitway/transaction.json", RUN)
        watch = looks.Watch(looks.LISTENING)
        start = _do("gw", KILL_DNSMASQ)
        back = watch.back()
        run.result()
    return judge(lab, Case("dnsmasq killed while site.yml runs", before, start), back)


def endure_damaged_state(lab: Lab) -> Outcome:
    """Cuts the state file and kills the agent, too. Healed: when the damage was reported."""
    before = wait_for_flows()
    start = _do("gw", "cp -p /etc/splitway/state.json /run/state.json; truncate --size=-100 /etc/splitway/state.json")
    problem = "import json, sys; sys.exit(not json.load(sys.stdin)['problem'])"
    back = looks.first_time(f'splitway status --json | python3 -c "{problem}"')
    watch = looks.Watch(looks.AGENT)
    host("gw").check_output(KILL_AGENT)
    watch.back()
    outcome = judge(lab, Case("the state file damaged, the agent killed", before, start), back)
    host("gw").check_output("mv /run/state.json /etc/splitway/state.json")
    return outcome


def endure_backend(lab: Lab, backend: str) -> Outcome:
    """Changes the backend by a run of site.yml."""
    before, start = wait_for_flows(), time.time()
    os.environ["LAB_BACKEND"] = lab.backend = backend
    playbook_succeeds("site.yml")
    return judge(lab, Case(f"site.yml changes the backend to {backend}", before, start, limit=RUN), time.time())


def _do(where: str, command: str) -> float:
    """Runs a shell command on a host; returns when it began, by the wall's clock."""
    return float(host(where).check_output(f"date +%s.%N; {command}").splitlines()[0])


def _docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True)
