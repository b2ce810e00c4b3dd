# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles a topology on the controller: the only place where Ansible meets the compiler."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files import client_files
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.compiler import CompileError, compile_state
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.engine import version
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sealed import digest
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import (
    Agent,
    State,
    to_data,
    without_keys,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError, parse


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        numbers = arguments.pop("numbers", None)
        variables = {f"splitway_{name}": value for name, value in arguments.items() if value is not None}
        # A variable of ours that no option takes may be a slip; its name is enough to tell.
        for name in task_vars or {}:
            if name.startswith("splitway_"):
                variables.setdefault(name, None)
        try:
            topology = parse(variables)
            state = _with_engine(compile_state(topology, numbers or {}))
        except (TopologyError, CompileError) as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(changed=False, digest=digest(state), client_folder=to_data(topology.client_files))
        if numbers is not None:
            result.update(
                state=to_data(state),
                outline=to_data(without_keys(state)),
                client_files=to_data(client_files(topology)),
            )
        return result


def _with_engine(state: State) -> State:
    """Return the state with the version of the engine that compiled it, which the gateway is to run, too."""
    return dataclasses.replace(state, agent=dataclasses.replace(state.agent or Agent(engine=""), engine=version()))
