# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at a gateway finds, as plain data without keys: for those who are not on the gateway.

Times are texts as ISO 8601 has them, in UTC; those inside the agent's own figures are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Optional

from . import audit
from .agent import control
from .agent.errors import AgentError
from .applying import drift_or_why
from .sealed import digest
from .state import SECTIONS, State
from .store import Store
from .system import System

Plain = dict[str, Any]


def iso(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as text."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def described(store: Store, state: State) -> Plain:
    """Return what the generation is, and when site.yml left it."""
    marks, stamp = state.marks, store.stamp()
    return {
        "installed": state != State(),
        "backend": state.backend,
        "numbers": state.numbers,
        "digest": digest(state),
        "applied": None if stamp is None else iso(stamp[2] / 1e9),
        "counts": {
            "clients": len(state.server.peers) if state.server else 0,
            "policies": len({policy.number for policy in marks.v4.policies + marks.v6.policies}) if marks else 0,
            "upstreams": len(state.upstreams),
            "sets": len(state.sets),
            "lines": len(state.dns.lines) if state.dns else 0,
        },
    }


def asked(system: System) -> tuple[Optional[Plain], str]:
    """Return the agent's figures without where clients connect from, and why there are none."""
    try:
        status: Plain = control.ask(system, "status")
    except AgentError as error:
        return None, str(error)
    for client in status["clients"]:
        del client["endpoint"]  # where people are is nobody's business but the gateway's
    return status, ""


def drifted(store: Store, state: State, status: Optional[Plain]) -> Plain:
    """Return by section what would have to change, and since when that is known: since now, at the latest."""
    changes, failures = drift_or_why(store, state)
    differing = {
        section: [f"{change.action} {change.what}" for change in changes.get(section, ())]
        or [f"cannot be compared: {failures[section]}"]
        for section in SECTIONS
        if changes.get(section) or section in failures
    }
    known: Mapping[str, float] = (status or {}).get("drift", {}).get("since", {})  # an agent before this has none
    now = store.system.now()
    return {
        "drift": differing,
        "since": {section: iso(known.get(section, now)) for section in differing},
    }


def ways(state: State) -> Plain:
    """Return which policy each client has, and where the rules of each policy lead."""
    marks = state.marks
    if marks is None or state.server is None:
        return {"policies": {}, "clients": {}}
    egresses = {egress.number: egress.name for egress in marks.egresses}
    policies: dict[str, list[str]] = {}
    of_address: dict[str, str] = {}
    for family in (marks.v4, marks.v6):
        names = {policy.number: policy.name for policy in family.policies}
        for policy in family.policies:
            leads = policies.setdefault(policy.name, [])
            numbers = [*(rule.egress for rule in policy.rules), policy.default]
            leads += [name for name in dict.fromkeys(egresses[number] for number in numbers) if name not in leads]
        of_address.update((address, names[number]) for address, number in family.clients.items() if number in names)
    clients = {}
    for peer in state.server.peers:
        addresses = [network.split("/")[0] for network in peer.allowed_ips]
        clients[peer.name] = next((of_address[address] for address in addresses if address in of_address), "")
    return {"policies": policies, "clients": clients}


def recorded(system: System, count: int) -> tuple[list[Plain], int]:
    """Return the audit's last records, the newest first: of their changes only what was changed. Raises OSError.

    And how many damaged lines are among them.
    """
    records, damaged = audit.last(system, count)
    kept = ("time", "who", "why", "section", "counts", "objects", "failure")
    found = [
        {
            **{name: record[name] for name in kept if name in record},
            "changes": [f"{change['action']} {change['what']}" for change in record.get("changes", ())],
        }
        for record in reversed(records)
    ]
    return found, damaged
