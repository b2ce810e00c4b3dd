# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault under traffic, with both backends: nothing leaks, all is healed, no other flow notices."""

from __future__ import annotations

from functools import partial
from typing import Callable

import pytest
from chaoskit import ordeals, report
from chaoskit.faults import FAULTS
from chaoskit.judge import Lab
from chaoskit.looks import Unseen
from chaoskit.report import Outcome
from labkit.hosts import container
from labkit.playbooks import playbook_succeeds

Ordeal = Callable[[Lab], Outcome]

TRIES = 3  # of a fault that is healed too late, or so fast that nobody saw it: perhaps the machine stood still
US = container("us")
DROP = (
    "nft add table inet chaos; nft add chain inet chaos faults '{{ type filter hook {hook} priority -300; }}'; {rule}"
)
MEND = ["exec", US, "nft", "delete", "table", "inet", "chaos"]


def on_us(hook: str, rule: str) -> list[str]:
    """Returns Docker's arguments for a rule in the exit's netfilter."""
    return ["exec", US, "sh", "-c", DROP.format(hook=hook, rule=f"nft add rule inet chaos faults {rule}")]


DEAD_EXITS = {
    "an exit that stands still": (["pause", US], ["unpause", US]),
    "an exit whose port is shut": (on_us("prerouting", "udp dport 51820 drop"), MEND),
    "an exit that shakes hands and moves no data": (on_us("forward", "drop"), MEND),
}


def of_backend(backend: str) -> list[tuple[str, Ordeal]]:
    """Returns the faults that are worth their time with a backend."""
    return [(fault.name, partial(ordeals.endure, fault=fault)) for fault in FAULTS if backend in fault.backends]


def all_ordeals() -> list[tuple[str, Ordeal]]:
    """Returns everything, in order.

    Dead exits stand between other faults: one after the other, they would be returns that did not last.
    """
    first = of_backend("ipset")
    dead = [
        (name, partial(ordeals.endure_dead_exit, name=name, breaks=breaks, mends=mends))
        for name, (breaks, mends) in DEAD_EXITS.items()
    ]
    share = len(first) // len(dead)
    mixed = [
        ordeal for index, exit_ in enumerate(dead) for ordeal in (exit_, *first[index * share : (index + 1) * share])
    ]
    return [
        *mixed,
        *first[len(dead) * share :],
        ("the gateway rebooted", ordeals.endure_reboot),
        ("the agent hangs", ordeals.endure_hanging_agent),
        ("dnsmasq killed while site.yml runs", ordeals.endure_fault_during_run),
        ("the state file damaged, the agent killed", ordeals.endure_damaged_state),
        ("site.yml changes the backend", partial(ordeals.endure_backend, backend="nftables")),
        *((f"{name}, nftables", ordeal) for name, ordeal in of_backend("nftables")),
        ("the gateway rebooted, nftables", ordeals.endure_reboot),
    ]


def judged(ordeal: Ordeal, lab: Lab) -> Outcome:
    """Returns what came of an ordeal in the end; the report has what came of each try."""
    for left in reversed(range(TRIES)):
        try:
            outcome = ordeal(lab)
        except Unseen:
            if not left:
                raise
            continue
        report.OUTCOMES.append(outcome)
        if not outcome.only_late:
            break
    return outcome


@pytest.mark.parametrize("ordeal", [pytest.param(ordeal, id=name) for name, ordeal in all_ordeals()])
def test_a_fault_leaks_nothing_and_is_healed(ordeal: Ordeal, lab: Lab) -> None:
    outcome = judged(ordeal, lab)
    assert outcome.faults() == []


def test_verify_is_content_at_the_end(lab: Lab) -> None:
    assert playbook_succeeds("verify.yml").changed() == 0
