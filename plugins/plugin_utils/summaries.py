# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has come to, host by host, for programs. Takes what a callback hears; knows nothing of Ansible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SECTIONS = {
    "split_transport": "transports",
    "wg_upstream": "upstreams",
    "policy_route": "routes",
    "split_ipset": "sets",
    "dnsmasq_split": "dns",
    "split_mark": "marks",
    "wg_server": "server",
    "split_rate": "qos",
    "split_proxy": "proxies",
    "split_web": "web",
    "splitway_agent": "agent",
}
"""Module → the section of the state that it brings."""

TRANSACTION, PLACEMENT = "splitway_transaction", "splitway_placement"
PLACED = ("clients", "changes", "moves", "counts")
"""What a placement's result has for programs."""
LONGEST = 4000  # characters of a message


@dataclass
class HostSummary:
    """What has been heard of one host."""

    changed: int = 0  # tasks
    changes: dict[str, Counter[str]] = field(default_factory=dict)  # section → add, change, remove → how many
    failures: list[dict[str, str]] = field(default_factory=list)  # task and message, also of those that were rescued
    unreachable: str = ""  # why
    rolled_back: bool = False
    unconfirmed: bool = False  # committed, and then nobody could confirm it: the host goes back by itself
    placement: dict[str, Any] = field(default_factory=dict)  # of the whole fleet, where it was the host to ask
    seconds: float = 0.0  # of its tasks

    def ok(self, module: str, state: str, result: Mapping[str, Any]) -> None:
        """Take a task that went well. `module` without its collection, `state` as the task asked for it."""
        if result.get("changed"):
            self.changed += 1
        if module in SECTIONS:
            counts = self.changes.setdefault(SECTIONS[module], Counter())
            counts.update(str(change).split(" ", 1)[0] for change in result.get("changes", ()))
        if module == PLACEMENT:
            self.placement = {name: result[name] for name in PLACED if name in result}
        if module == TRANSACTION:
            self._step(state, result)

    def _step(self, state: str, result: Mapping[str, Any]) -> None:
        if state == "commit":
            self.unconfirmed = bool(result.get("unconfirmed"))
        elif state == "confirm":
            self.unconfirmed = False
        elif state == "rollback":
            self.rolled_back, self.unconfirmed = True, False

    def failed(self, task: str, result: Mapping[str, Any]) -> None:
        """Take a task that failed; what must not be logged is not in its result any more."""
        self.failures.append({"task": task, "message": message_of(result)})


def message_of(result: Mapping[str, Any]) -> str:
    """Return why a task failed, of a result without what must not be logged."""
    found = str(result.get("msg") or result.get("censored") or result.get("reason") or "it failed")
    found = found.encode(errors="replace").decode()  # a host may send halves of letters, which no file can have
    return found if len(found) <= LONGEST else f"{found[: LONGEST - 1]}…"


def summary(
    playbook: str, hosts: Mapping[str, HostSummary], failed: frozenset[str], times: tuple[str, str], seconds: float
) -> dict[str, Any]:
    """Return the document on a run.

    `failed`: the hosts that ended so; a failure that was rescued or ignored is no end. `times`: when the run began and
    ended, ISO 8601.
    """
    away = {name for name, host in hosts.items() if host.unreachable}
    placements = [host.placement for host in hosts.values() if host.placement]
    return {
        "playbook": playbook,
        "started": times[0],
        "ended": times[1],
        "seconds": round(seconds, 1),
        "ok": not failed and not away,
        "counts": {
            "hosts": len(hosts),
            "changed": sum(host.changed > 0 for host in hosts.values()),
            "failed": len(failed),
            "unreachable": len(away),
            "rolled_back": sum(host.rolled_back for host in hosts.values()),
            "unconfirmed": sum(host.unconfirmed for host in hosts.values()),
        },
        **({"placement": placements[-1]} if placements else {}),
        "hosts": {name: _host(host, failed=name in failed) for name, host in sorted(hosts.items())},
    }


def _host(host: HostSummary, *, failed: bool) -> dict[str, Any]:
    return {
        "changed": host.changed,
        "changes": {section: dict(sorted(counts.items())) for section, counts in host.changes.items() if counts},
        "failed": failed,
        "failures": host.failures,
        "unreachable": host.unreachable or None,
        "rolled_back": host.rolled_back,
        "unconfirmed": host.unconfirmed,
        "seconds": round(host.seconds, 1),
    }
