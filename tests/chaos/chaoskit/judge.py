# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fault is judged: by packets on the wire, by what became of the flows, by what is left of it on the gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from labkit.hosts import LabError, host, wait_until

from chaoskit.faults import LIMIT
from chaoskit.flows import Flow, wait_for_flows
from chaoskit.report import Outcome
from chaoskit.targets import addresses, ways_of_addresses
from chaoskit.wire import Wire, leaks

# The difference between the host and its generation, by the engine that the agent runs.
DRIFT = """\
import json, sys
sys.path.insert(0, "/usr/lib/splitway/current")
from splitway.store import Store
from splitway.system import System
from splitway.applying import drift
store = Store(System())
found = drift(store, store.generation())
print(json.dumps({section: [change.what for change in changes] for section, changes in found.items() if changes}))
"""


@dataclass
class Lab:
    """The gateway under test, and the wire behind it."""

    wire: Wire
    backend: str


@dataclass(frozen=True)
class Case:
    """A fault that was injected, and how it is to be judged."""

    name: str
    before: list[Flow]
    start: float
    hurts: frozenset[str] = frozenset()
    limit: float = LIMIT
    excused: tuple[str, ...] = ()
    also: dict[str, str] = field(default_factory=dict)  # target → another way that it may take meanwhile


def judge(lab: Lab, case: Case, back: float, after: list[Flow] | None = None) -> Outcome:
    """Returns what came of a fault, once all flows are answered again (unless `after` has how they were)."""
    after = after or wait_for_flows(since=back)
    drift = _remaining_drift()
    permitted = dict(ways_of_addresses())
    for target, way in case.also.items():
        for address in addresses(target, 4) | addresses(target, 6):
            permitted[address] = permitted.get(address, frozenset()) | {way}
    excused = frozenset(address for target in case.excused for address in addresses(target, 4))
    found = leaks(lab.wire.read(), permitted)
    meant = [packet.at for packet in found if packet.destination in excused]
    others = [flow for flow, was in zip(after, case.before, strict=True) if was.way not in case.hurts]
    return Outcome(
        fault=case.name,
        backend=lab.backend,
        healed=back - case.start,
        limit=case.limit,
        pause=max(flow.pause_since(case.start) for flow in after),
        leaked=tuple(str(packet) for packet in found if packet.destination not in excused),
        excused=len(meant),
        excused_for=max(meant) - min(meant) if meant else 0.0,
        broken=tuple(filter(None, (flow.broken_since(case.start) for flow in others))),
        drift=drift,
    )


def _remaining_drift() -> str:
    """Returns what differs from the generation although there was time to heal it, "" when nothing does."""
    found: dict[str, Any] = {}

    def none() -> bool:
        found.clear()
        done = host("gw").run("python3 -I -c %s", DRIFT)
        found.update(json.loads(done.stdout) if done.rc == 0 else {"the gateway": done.stderr})
        return not found

    try:
        wait_until(none, "the agent to heal all", LIMIT)
    except LabError:
        return json.dumps(found)
    return ""
