# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans a rollout, judges its waves and reports, all on the controller."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.rollout.report import (
    UNDER_WAY,
    Finding,
    Outcome,
    Rollout,
    judge,
    lines,
    outcome,
    refusal,
    to_plain,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.rollout.settings import (
    Settings,
    read_settings,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.rollout.waves import cut
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import to_data
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError

Facts = Mapping[str, Any]

LEAST = 5.0  # seconds that commands have, however long the gate took


class Refused(Exception):
    """A rollout that does not begin."""

    def __init__(self, message: str, whys: Mapping[str, str]) -> None:
        super().__init__(message)
        self.whys = whys  # by gateway, of those that are in the way


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        states: dict[str, Callable[[Facts, Facts], dict[str, Any]]] = {
            "plan": _plan,
            "begin": _begin,
            "commands": _commands,
            "judge": _judge,
            "report": _report,
        }
        state = self._task.args.get("state")
        if state not in states:
            raise AnsibleActionFail(f"state is one of {', '.join(states)}")
        try:
            result.update(changed=False, **states[state](self._task.args, variables))
        except Refused as refused:
            self._write(refusal(variables["ansible_play_hosts_all"], refused.whys))
            raise AnsibleActionFail(str(refused)) from refused
        self._write(result.get("report"))
        return result

    def _write(self, report: Optional[dict[str, Any]]) -> None:
        path = self._task.args.get("path")
        if not path or report is None:
            return
        try:
            there = Path(self._loader.path_dwim(path)).expanduser()
            new = there.with_name(f".{there.name}.new")
            new.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            new.replace(there)
        except OSError as error:
            raise AnsibleActionFail(f"splitway_rollout_report: {error}") from error


def _plan(arguments: Facts, variables: Facts) -> dict[str, Any]:
    gateways = list(variables["ansible_play_hosts_all"])
    facts = {name: variables["hostvars"][name] for name in gateways}
    settings = _settings(arguments.get("waves"), facts)
    _refuse_unless_sound(gateways, facts, variables["ansible_play_hosts"])
    there = [name for name in gateways if _there(facts[name])]
    waves = cut([name for name in gateways if name not in there], settings[gateways[0]].waves)
    plan = {
        "there": there,
        "waves": [list(wave) for wave in waves],
        "gates": {name: to_data(settings[name].gate) for wave in waves for name in wave},
    }
    return {"plan": plan, **_told(Rollout(waves, tuple(there)))}


def _refuse_unless_sound(gateways: Sequence[str], facts: Mapping[str, Facts], in_play: Collection[str]) -> None:
    """Raise Refused when a gateway is not there, or its variables are wrong."""
    wrong = {name: str(facts[name].get("__splitway_wrong") or "see the run's output") for name in gateways}
    wrong = {name: why for name, why in wrong.items() if name not in in_play or "__splitway_wrong" in facts[name]}
    away = [name for name in gateways if name not in wrong and not _answered(facts[name])]
    if away:
        raise Refused(
            f"{', '.join(away)}: not reachable. Nothing was changed anywhere. "
            f"To roll out to the others: --limit 'splitway_gateways:!{':!'.join(away)}'",
            {**wrong, **dict.fromkeys(away, "not reachable")},
        )
    if wrong:
        raise Refused(f"{', '.join(wrong)}: failed already, see above. Nothing was changed anywhere.", wrong)


def _settings(waves: Any, gateways: Mapping[str, Facts]) -> dict[str, Settings]:
    """Return each gateway's settings: a canary is a client of one of them. All that is wrong is told together."""
    found, wrong = {}, {}
    for name, facts in gateways.items():
        try:
            found[name] = read_settings(waves, facts.get("splitway_gate"), facts.get("splitway_confirm_timeout"))
        except TopologyError as error:
            wrong.setdefault(str(error), []).append(name)
    if wrong:
        whys = {name: problem for problem, names in wrong.items() for name in names}
        raise Refused("\n".join(f"{', '.join(names)}: {problem}" for problem, names in wrong.items()), whys)
    return found


def _answered(facts: Facts) -> bool:
    found = facts.get("__splitway_gateway") or {}
    return not found.get("unreachable") and "digest" in found


def _there(facts: Facts) -> bool:
    """Return whether a gateway has what this inventory says, and its agent is at work."""
    found = facts["__splitway_gateway"]
    return (
        found["installed"]
        and found["digest"] == facts["__splitway_compiled"]["digest"]
        and not found["problem"]
        and not found.get("unconfirmed")
        and len(found["upstreams"]) == found["counts"]["upstreams"]
    )


def _begin(arguments: Facts, variables: Facts) -> dict[str, Any]:
    """Say that a wave begins. Whoever ends the run from now on leaves a report that says so."""
    return _told(_rollout(arguments["plan"], variables, judged=None))


def _judge(arguments: Facts, variables: Facts) -> dict[str, Any]:
    wave = _wave(arguments["plan"], variables)
    return {"bad": judge({name: _finding(name, variables) for name in wave})}


def _report(arguments: Facts, variables: Facts) -> dict[str, Any]:
    rollout = _rollout(arguments["plan"], variables, judged=arguments["bad"])
    return {**_told(rollout), "stop": rollout.bad}


def _told(rollout: Rollout) -> dict[str, Any]:
    return {"report": to_plain(rollout), "lines": list(lines(rollout))}


def _wave(plan: Facts, variables: Facts) -> list[str]:
    """Return the wave that the host of this task is in; those that are lost already are in it, too."""
    return next(wave for wave in plan["waves"] if variables["inventory_hostname"] in wave)


def _rollout(plan: Facts, variables: Facts, judged: Optional[Mapping[str, str]]) -> Rollout:
    """Return the rollout up to this wave: every one before it was a good one. `judged`: None while it is under way."""
    wave = _wave(plan, variables)
    number = plan["waves"].index(wave) + 1
    outcomes = {name: Outcome("confirmed") for earlier in plan["waves"][: number - 1] for name in earlier}
    for name in wave:
        found = Outcome(UNDER_WAY) if judged is None else outcome(name, _finding(name, variables), judged)
        outcomes[name] = found
    return Rollout(tuple(map(tuple, plan["waves"])), tuple(plan["there"]), outcomes, number)


def _finding(name: str, variables: Facts) -> Finding:
    """Return what the tasks of playbooks/site.yml have registered of a gateway."""
    facts = variables["hostvars"][name]
    gate, commit = facts.get("__splitway_gated") or {}, facts.get("__splitway_committed") or {}
    passed = "seconds" in gate
    commands = (facts.get("__splitway_commands") or {}).get("missing", ())
    failure = facts.get("__splitway_failure", "")
    confirmation = facts.get("__splitway_confirmed") or {}
    undone = facts.get("__splitway_rolled_back") or facts.get("__splitway_undone")
    return Finding(
        begun="id" in (facts.get("__splitway_begun") or {}),
        failure=failure,
        gone=name not in variables["ansible_play_hosts"],
        lost=bool(gate.get("unreachable")),
        missing="; ".join(commands) if passed else gate.get("msg", ""),
        late="" if confirmation.get("unreachable") else confirmation.get("msg", ""),
        confirmed=_succeeded(confirmation) or (passed and not commit.get("unconfirmed")),
        rolled_back=_succeeded(undone),
    )


def _succeeded(registered: Any) -> bool:
    """Return whether a task ran and did what it was to do."""
    return bool(registered) and not any(word in registered for word in ("unreachable", "skip_reason", "msg"))


def _commands(arguments: Facts, variables: Facts) -> dict[str, Any]:
    """Run the operator's commands for one gateway, one after the other, in what time its gate has left."""
    gateway = variables["inventory_hostname"]
    gate = arguments["plan"]["gates"][gateway]
    facts = variables["hostvars"][gateway]
    until = time.monotonic() + max(LEAST, gate["timeout"] - facts["__splitway_gated"]["seconds"])
    environment = {**os.environ, "SPLITWAY_GATEWAY": gateway}
    missing = []
    for number, command in enumerate(gate["commands"]):
        what = f"splitway_gate.commands[{number}] ({command[0]})"
        try:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=max(0.1, until - time.monotonic()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            missing.append(f"{what} does not end")
        except OSError as error:
            missing.append(f"{what}: {error.strerror}")
        else:
            if done.returncode:
                missing.append(f"{what} ended with status {done.returncode}")
    return {"missing": missing}
