# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs splitway_agent on the gateway; ships the engine there, by one file, when the gateway lacks this version."""

from __future__ import annotations

from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.engine import version
from ansible_collections.splitway.gateway.plugins.plugin_utils.engine import shipped
from ansible_collections.splitway.gateway.plugins.plugin_utils.lost import lost


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        try:
            return self._run(tmp, task_vars)
        except AnsibleConnectionFailure as error:
            return lost(error)

    def _run(self, tmp: Optional[str], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        arguments = {**self._task.args, "engine": self._task.args.get("engine") or version()}
        said = self._execute_module(module_args=arguments, task_vars=task_vars)
        if said.pop("lacks_engine", False):
            arguments["source"] = shipped(self, arguments["engine"])
            said = self._execute_module(module_args=arguments, task_vars=task_vars)
        answer.update(said)
        self._remove_tmp_path(self._connection._shell.tmpdir)
        return answer
