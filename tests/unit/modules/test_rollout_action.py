# SPDX-License-Identifier: GPL-3.0-or-later
"""The action splitway_rollout on what the tasks of a wave have registered."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader

from ansible_collections.splitway.gateway.plugins.action.splitway_rollout import ActionModule

GATES = {"timeout": 20, "commands": []}
PASSED = {"seconds": 1.5}
COMMITTED = {"id": "4f0c", "unconfirmed": True}


def act(variables: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """Run the action with these variables of a play."""
    action = object.__new__(ActionModule)
    action._task = SimpleNamespace(args=arguments, async_val=0, check_mode=False, diff=False)
    action._loader = DataLoader()
    action._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    action._play_context = SimpleNamespace(check_mode=False)
    result: dict[str, Any] = action.run(task_vars=variables)
    return result


def gateway(digest: str = "old", **changes: Any) -> dict[str, Any]:
    """Return what a look at a gateway has registered."""
    looked = {
        "installed": True,
        "digest": digest,
        "problem": "",
        "unconfirmed": None,
        "upstreams": {"us": {}},
        "counts": {"upstreams": 1},
        **changes,
    }
    return {"__splitway_gateway": looked, "__splitway_compiled": {"digest": "new"}}


def fleet(**gateways: dict[str, Any]) -> dict[str, Any]:
    """Return a play's variables."""
    return {
        "inventory_hostname": next(iter(gateways)),
        "ansible_play_hosts": [*gateways],
        "ansible_play_hosts_all": [*gateways],
        "hostvars": gateways,
    }


def test_those_that_have_the_generation_are_left_out() -> None:
    plan = act(
        fleet(
            a=gateway("new"),
            b=gateway(),
            c=gateway("new", problem="state.json is damaged"),
            d=gateway("new", unconfirmed={"id": "4f0c"}),
            e=gateway("new", upstreams={}),  # its agent does not answer
            f=gateway("new", installed=False),
        ),
        state="plan",
        waves=[1, 2],
    )["plan"]
    assert plan["there"] == ["a"]
    assert plan["waves"] == [["b"], ["c", "d"], ["e", "f"]]


def test_all_that_are_not_reachable_are_named(tmp_path: Path) -> None:
    away = {"__splitway_gateway": {"unreachable": True, "msg": "timeout"}}
    wrong = {"__splitway_gateway": {"unreachable": True}, "__splitway_wrong": "splitway_retention: no"}
    path = tmp_path / "report.json"
    with pytest.raises(AnsibleActionFail, match=r"b, c: not reachable\. Nothing was changed .*:!b:!c'"):
        act(fleet(a=gateway(), b=away, c=away, d=wrong), state="plan", path=str(path))
    assert json.loads(path.read_text()) == {
        "result": "refused",
        "wave": 0,
        "waves": [],
        "gateways": {
            "a": {"wave": None, "state": "untouched", "why": ""},
            "b": {"wave": None, "state": "untouched", "why": "not reachable"},
            "c": {"wave": None, "state": "untouched", "why": "not reachable"},
            "d": {"wave": None, "state": "untouched", "why": "splitway_retention: no"},
        },
    }


def test_a_gateway_whose_topology_is_wrong_stops_all() -> None:
    """Not by any_errors_fatal: Ansible would end the play at the first that is not reachable, and name no other."""
    wrong = {"__splitway_wrong": "splitway_retention: no"}
    with pytest.raises(AnsibleActionFail, match=r"b: failed already, see above\. Nothing was changed anywhere\."):
        act(fleet(a=gateway(), b=gateway() | wrong), state="plan")
    with pytest.raises(AnsibleActionFail, match=r"b: failed already, see above\. Nothing was changed anywhere\."):
        act({**fleet(a=gateway(), b=gateway()), "ansible_play_hosts": ["a"]}, state="plan")


def test_what_is_wrong_with_settings_says_of_whom(tmp_path: Path) -> None:
    wrong = {"splitway_gate": {"canary": "a b"}}
    path = tmp_path / "report.json"
    with pytest.raises(AnsibleActionFail) as error:
        act(fleet(a=gateway() | wrong, b=gateway(), c=gateway() | wrong), state="plan", waves=["0%"], path=str(path))
    waves, canary, others = str(error.value).splitlines()
    assert waves.startswith('a, c: splitway_rollout_waves[0]: "0%" is not the size of a wave')
    assert canary.startswith('splitway_gate.canary: "a b" is not a name')
    assert others.startswith('b: splitway_rollout_waves[0]: "0%" is not the size of a wave')
    found = json.loads(path.read_text())
    assert found["result"] == "refused"
    assert found["gateways"]["b"]["why"].startswith("splitway_rollout_waves[0]")


def wave(**gateways: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the variables of a wave and the plan whose first wave it is."""
    begun = {"__splitway_begun": {"id": "4f0c"}, "__splitway_committed": COMMITTED}
    found = fleet(**{name: begun | facts for name, facts in gateways.items()})
    return found, {"there": [], "waves": [[*gateways], ["z"]], "gates": dict.fromkeys(gateways, GATES)}


def report(variables: dict[str, Any], plan: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    bad = act(variables, state="judge", plan=plan)["bad"]
    return act(variables, state="report", plan=plan, bad=bad, **arguments)


def states(found: dict[str, Any]) -> dict[str, str]:
    return {name: entry["state"] for name, entry in found["report"]["gateways"].items()}


def test_a_good_wave(tmp_path: Path) -> None:
    confirmed = {"__splitway_gated": PASSED, "__splitway_confirmed": {"changed": False, "failed": False}}
    unchanged = {"__splitway_gated": PASSED, "__splitway_committed": {"unconfirmed": False}}
    found = report(*wave(a=confirmed, b=unchanged), path=str(tmp_path / "report.json"))
    assert not found["stop"]
    assert states(found) == {"a": "confirmed", "b": "confirmed", "z": "untouched"}
    assert json.loads((tmp_path / "report.json").read_text()) == found["report"]


def test_each_way_to_fail() -> None:
    rolled_back = {"__splitway_rolled_back": {"changed": True, "changes": [], "failed": False}}
    found = report(
        *wave(
            gate={"__splitway_gated": {"msg": "upstream us is down", "missing": ["…"]}} | rolled_back,
            lost={"__splitway_gated": {"unreachable": True, "msg": "no route"}},
            step={
                "__splitway_failure": "Tunnels: no",
                "__splitway_undone": {"changed": True},
                "__splitway_gated": {"skip_reason": "…"},
            },
            cut={"__splitway_failure": "Tunnels: lost", "__splitway_undone": {"unreachable": True}},
            command={"__splitway_gated": PASSED, "__splitway_commands": {"missing": ["check ended with status 1"]}}
            | rolled_back,
            other={"__splitway_gated": PASSED} | rolled_back,
        )
    )
    assert found["stop"]
    assert states(found) == {
        **dict.fromkeys(("gate", "step", "command", "other"), "rolled back"),
        **dict.fromkeys(("lost", "cut"), "lost"),
        "z": "untouched",
    }
    why = {name: entry["why"] for name, entry in found["report"]["gateways"].items()}
    assert (why["gate"], why["step"]) == ("upstream us is down", "Tunnels: no")
    assert why["other"] == "its wave is stopped by gate, lost, step, cut, command"


def test_commands_are_run_with_the_gateways_name() -> None:
    script = "import os, sys; sys.exit(os.environ['SPLITWAY_GATEWAY'] != 'a')"
    commands = [[sys.executable, "-c", script], [sys.executable, "-c", "exit(3)", "secret"], ["/nowhere"]]
    variables, plan = wave(a={"__splitway_gated": PASSED})
    plan["gates"]["a"] = {"timeout": 20, "commands": commands}
    missing = act(variables, state="commands", plan=plan)["missing"]
    assert missing == [
        f"splitway_gate.commands[1] ({sys.executable}) ended with status 3",
        "splitway_gate.commands[2] (/nowhere): No such file or directory",
    ]
