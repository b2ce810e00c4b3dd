# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs wg_client_bundle on the gateway; for bundles on the controller, brings over what only the gateway knows."""

from __future__ import annotations

import os
import socket
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._client_bundle import (
    OPTIONS,
    bring,
    keys_wanted,
    offers_in,
)
from ansible_collections.splitway.gateway.plugins.module_utils._client_files import FAILURES, result
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files.folder import Keys
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        _, parameters = self.validate_argument_spec(argument_spec=OPTIONS)
        if parameters["relay"] and not parameters["address"]:
            parameters["address"] = _address(parameters["relay"]["host"])
        if parameters["destination"] == "gateway":
            answer.update(
                self._execute_module(
                    module_args={**self._task.args, "address": parameters["address"]}, task_vars=task_vars
                )
            )
            return answer
        if not parameters["directory"]:
            raise AnsibleActionFail("directory: where on the controller are the bundles to be written?")
        parameters["directory"] = os.path.abspath(os.path.expanduser(parameters["directory"]))
        try:
            offers = offers_in(parameters)
            keys, ports = self._known_there(parameters["interface"], keys_wanted(offers), task_vars)
            changes = bring(System(), parameters, offers, keys, ports, check_mode=self._task.check_mode)
        except FAILURES as error:
            raise AnsibleActionFail(f"on the controller: {error}") from error
        answer.update(result(parameters, changes, diff=self._task.diff))
        return answer

    def _known_there(
        self, interface: str, names: tuple[str, ...], task_vars: Optional[dict[str, Any]]
    ) -> tuple[Keys, dict[str, int]]:
        """Return the keys and ports that only the gateway knows; the keys stay in this process."""
        # No key goes there, so that Ansible finds none to cut out of the answer.
        tunnels = [{"name": name, "tunnel": {"name": name, "addresses": ["-"], "endpoint": "-"}} for name in names]
        arguments = {"destination": "controller", "interface": interface, "clients": tunnels}
        said = self._execute_module(module_args=arguments, task_vars=task_vars)
        if said.get("failed"):
            raise AnsibleActionFail(f"on the gateway: {said.get('msg', 'its keys cannot be read')}")
        return Keys(said["server"], said["private"]), said["ports"]


def _address(host: str) -> str:
    """Return the address of a name, as this controller sees it: IPv4 before IPv6, always the same one of several."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise AnsibleActionFail(
            f"{host} has no address here: write splitway_client_bundle.address, which clients reach the gateway at"
        ) from error
    return min(map(str, found), key=lambda text: (":" in text, text))
