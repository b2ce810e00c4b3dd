# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs splitway_transaction on the gateway; ships the engine there, and confirms over a new connection."""

from __future__ import annotations

from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.engine import version
from ansible_collections.splitway.gateway.plugins.plugin_utils.engine import shipped
from ansible_collections.splitway.gateway.plugins.plugin_utils.lost import lost

STEPS = ("begin", "rehearse", "commit")  # what comes after these is to be undone where the connection breaks


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        try:
            return self._run(tmp, task_vars)
        except AnsibleConnectionFailure as error:
            if self._task.args.get("state") not in STEPS:
                raise
            return lost(error)

    def _run(self, tmp: Optional[str], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        state = arguments.get("state")
        if state == "begin":
            arguments["engine"] = arguments.get("engine") or version()
        elif state == "confirm" and type(self._connection).reset is not ConnectionBase.reset:
            # One that is kept alive would work on where no new one is let in. All others make one a task.
            self._connection.reset()
        said = self._execute_module(module_args=arguments, task_vars=task_vars)
        if said.pop("lacks_engine", False):
            arguments.update(source=shipped(self, arguments["engine"]), transaction=said["id"])
            said = self._execute_module(module_args=arguments, task_vars=task_vars)
        answer.update(said)
        self._remove_tmp_path(self._connection._shell.tmpdir)
        return answer
