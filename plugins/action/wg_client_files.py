# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs wg_client_files on the gateway; for files on the controller, brings over the keys that are missing here."""

from __future__ import annotations

import os
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._client_files import (
    FAILURES,
    OPTIONS,
    bring,
    clients_of,
    keys_wanted,
    result,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files.folder import Keys
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        _, parameters = self.validate_argument_spec(argument_spec=OPTIONS)
        if parameters["destination"] == "gateway":
            answer.update(self._execute_module(task_vars=task_vars))
            return answer
        if not parameters["directory"]:
            raise AnsibleActionFail("directory: where on the controller are the files to be written?")
        parameters["directory"] = os.path.abspath(os.path.expanduser(parameters["directory"]))
        try:
            clients = clients_of(parameters)
            keys = self._keys(parameters, keys_wanted(clients), task_vars)
            changes = bring(System(), parameters, clients, keys, check_mode=self._task.check_mode)
        except FAILURES as error:
            raise AnsibleActionFail(f"on the controller: {error}") from error
        answer.update(result(parameters, changes, diff=self._task.diff))
        return answer

    def _keys(self, parameters: dict[str, Any], names: tuple[str, ...], task_vars: Optional[dict[str, Any]]) -> Keys:
        """Return the keys that only the gateway has; they stay in this process."""
        if parameters["server_public_key"] and not names:
            return Keys(None, {})
        # No key goes there, so that Ansible finds none to cut out of the answer.
        asked = [{"name": name, "addresses": ["-"], "endpoint": "-"} for name in names]
        arguments = {"destination": "controller", "interface": parameters["interface"], "clients": asked}
        said = self._execute_module(module_args=arguments, task_vars=task_vars)
        if said.get("failed"):
            raise AnsibleActionFail(f"on the gateway: {said.get('msg', 'the keys cannot be read')}")
        return Keys(said["server"], said["private"])
