# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks an exit's variables on the controller."""

from __future__ import annotations

from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._module import without_none
from ansible_collections.splitway.gateway.plugins.module_utils._programs import with_checksums
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.compiler.exit_proxy import compile_exit_proxies
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.compiler.transports import compile_exit
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile.proxies import (
    PACKAGES as PROXY_PACKAGES,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.relay.delivery import (
    EXIT_FOLDER,
    delivery,
    packages,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import to_data
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError, parse_exit


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = {f"splitway_{name}": value for name, value in self._task.args.items() if name != "returns"}
        # A variable of ours that no option takes may be a slip; its name is enough to tell.
        for name in task_vars or {}:
            if name.startswith("splitway_"):
                variables.setdefault(name, None)
        try:
            found = parse_exit(with_checksums(variables, self._loader.path_dwim))
        except TopologyError as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(
            changed=False,
            programs=[delivery(source, EXIT_FOLDER) for source in found.programs],
            packages=[
                *(packages(found.websocket) if found.websocket else ()),
                *(PROXY_PACKAGES if found.websocket and found.websocket.proxies else ()),
            ],
        )
        if "transports" in (self._task.args.get("returns") or ()):
            result["transports"] = without_none(to_data(compile_exit(found)))
        if "proxies" in (self._task.args.get("returns") or ()):
            result["proxies"] = without_none(to_data(compile_exit_proxies(found)))
        return result
