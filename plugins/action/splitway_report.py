# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes on the controller, of what looks at gateways found, the report on a fleet: one HTML file."""

from __future__ import annotations

import time
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._exchange import absolute
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import SECTIONS
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System
from ansible_collections.splitway.gateway.plugins.plugin_utils.report.page import report

OPTIONS = {
    "gateways": {"type": "dict", "required": True},
    "destination": {"type": "path", "required": True},
    "title": {"type": "str", "default": "Gateways"},
}


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(OPTIONS)
        path = absolute(options["destination"])
        text = report(options["gateways"], SECTIONS, options["title"], time.time())
        try:
            if not self._task.check_mode:
                # Clients' names and what they moved are in it.
                System().write_file(path, text, 0o600)
        except OSError as error:
            raise AnsibleActionFail(f"the report cannot be written: {error}") from error
        answer.update(changed=True, destination=str(path), size=len(text.encode()))
        return answer
