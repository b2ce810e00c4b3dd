# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of the modules that are steps of a run, see meta/runtime.yml: a host that is lost in one has failed it.

Ansible leaves a host that it cannot reach out of the rest of the play, without a word from the play itself. A rollout
has to judge its wave, and roll the others back.
"""

from __future__ import annotations

from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action.normal import ActionModule as NormalAction

from ansible_collections.splitway.gateway.plugins.plugin_utils.lost import lost


class ActionModule(NormalAction):
    """Runs the module."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        try:
            found: dict[str, Any] = super().run(tmp, task_vars)
        except AnsibleConnectionFailure as error:
            return lost(error)
        return found
