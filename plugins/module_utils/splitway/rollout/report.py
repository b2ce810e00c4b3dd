# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of each gateway in a rollout: plain data for programs, lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .waves import Waves

THERE = "there already"  # it had this generation before the rollout, and was left alone
CONFIRMED = "confirmed"
ROLLED_BACK = "rolled back"
LOST = "lost"  # the controller does not know more: without a confirmation the gateway goes back by itself
UNDER_WAY = "under way"
UNTOUCHED = "untouched"
STATES = (THERE, CONFIRMED, ROLLED_BACK, LOST, UNDER_WAY, UNTOUCHED)

STOPPED, DONE, GOING = "stopped", "done", "under way"
PLANNED, REFUSED = "planned", "refused"  # no wave has begun


@dataclass(frozen=True)
class Finding:
    """What the controller found out about one gateway of a wave."""

    begun: bool = True  # its transaction was opened
    failure: str = ""  # why its transaction was rolled back before the commit
    gone: bool = False  # it failed elsewhere, or was lost before its commit: it is not in the play any more
    lost: bool = False  # the controller has not reached it since its commit
    missing: str = ""  # what the gate or a command says
    confirmed: bool = False
    late: str = ""  # what the gateway answered to a confirmation that it did not take
    rolled_back: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a gateway."""

    state: str
    why: str = ""


@dataclass(frozen=True)
class Rollout:
    """A rollout, as far as it has come."""

    waves: Waves
    there: tuple[str, ...] = ()  # gateways that were left out
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)  # of those whose wave has begun
    number: int = 0  # of the wave that began last, from 1

    @property
    def bad(self) -> bool:
        """Return whether a gateway of a wave that has begun is neither confirmed nor under way."""
        return any(outcome.state not in (CONFIRMED, UNDER_WAY) for outcome in self.outcomes.values())

    @property
    def result(self) -> str:
        """Return done, stopped, under way or planned."""
        if self.bad:
            return STOPPED
        done = all(self.outcomes.get(name, _UNTOUCHED).state == CONFIRMED for wave in self.waves for name in wave)
        return DONE if done else GOING if self.number else PLANNED


_UNTOUCHED = Outcome(UNTOUCHED)


def trouble(finding: Finding) -> str:
    """Return why a gateway makes its wave a bad one; "" when it does not."""
    if finding.lost:
        return "the controller does not reach it any more"
    if finding.failure or finding.missing:
        return finding.failure or finding.missing
    return "it failed, or was lost, on its way: see its tasks" if finding.gone else ""


def judge(findings: Mapping[str, Finding]) -> dict[str, str]:
    """Return, by gateway of a wave, why the wave is bad; nothing when it is a good one."""
    return {name: why for name, why in ((name, trouble(found)) for name, found in findings.items()) if why}


def outcome(name: str, finding: Finding, bad: Mapping[str, str]) -> Outcome:
    """Return what became of a gateway of a wave in the end."""
    if finding.confirmed:
        return Outcome(CONFIRMED)
    if finding.late:
        return Outcome(ROLLED_BACK, finding.late)
    why = bad.get(name) or (f"its wave is stopped by {', '.join(bad)}" if bad else "it did not answer the confirmation")
    if finding.rolled_back:
        return Outcome(ROLLED_BACK, why)
    if not finding.begun:
        return Outcome(UNTOUCHED, why)
    return Outcome(LOST, f"{why}; not confirmed, it goes back by itself")


def to_plain(rollout: Rollout) -> dict[str, Any]:
    """Return the report for programs; docs/fleet.md names the fields."""
    number = {name: index for index, wave in enumerate(rollout.waves, start=1) for name in wave}
    gateways: dict[str, Any] = {name: {"wave": None, "state": THERE, "why": ""} for name in rollout.there}
    for name, wave in number.items():
        found = rollout.outcomes.get(name, _UNTOUCHED)
        gateways[name] = {"wave": wave, "state": found.state, "why": found.why}
    return {
        "result": rollout.result,
        "wave": rollout.number,
        "waves": [list(wave) for wave in rollout.waves],
        "gateways": gateways,
    }


def refusal(gateways: Iterable[str], whys: Mapping[str, str]) -> dict[str, Any]:
    """Return the report on a rollout that does not begin. `whys`: by gateway, of those that are in the way."""
    return {
        "result": REFUSED,
        "wave": 0,
        "waves": [],
        "gateways": {name: {"wave": None, "state": UNTOUCHED, "why": whys.get(name, "")} for name in gateways},
    }


def lines(rollout: Rollout) -> Iterator[str]:
    """Yield the report for people: what happened first, then who is in which state."""
    count = len(rollout.waves)
    if not count:
        yield "nothing to do: every gateway has this inventory's generation"
    elif not rollout.number:
        yield from (f"wave {number}: {', '.join(wave)}" for number, wave in enumerate(rollout.waves, start=1))
        yield from (f"{THERE}: {', '.join(names)}" for names in (rollout.there,) if names)
        return
    elif rollout.result == STOPPED:
        yield f"stopped at wave {rollout.number} of {count}"
    elif rollout.result == DONE:
        yield f"done: {count} of {count} waves"
    else:
        yield f"wave {rollout.number} of {count}"
    states = to_plain(rollout)["gateways"]
    for state in STATES:
        names = [name for name, found in states.items() if found["state"] == state]
        yield from (f"{state}: {name}: {states[name]['why']}" for name in names if states[name]["why"])
        alike = [name for name in names if not states[name]["why"]]
        if alike:
            yield f"{state}: {', '.join(alike)}"
