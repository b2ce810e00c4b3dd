# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a gateway's clients, upstreams, lists and policies to files on the controller."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._exchange import (
    absolute,
    diff_of,
    text_of,
    topology_variables,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.exchange import exported
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.exchange.exporting import counted
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.exchange.kinds import FORMATS
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError

OPTIONS = {
    "directory": {"type": "path", "required": True},
    "format": {"type": "str", "choices": list(FORMATS), "default": "csv"},
    "secrets": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(OPTIONS)
        directory = absolute(options["directory"])
        variables = topology_variables(self._templar, task_vars or {})
        try:
            files = exported(variables, options["format"], secrets=options["secrets"])
            before = {name: text_of(directory / name) or "" for name in files}
            wrong = [name for name in files if _is_wrong(directory / name, files[name], secrets=options["secrets"])]
            for name in wrong if not self._task.check_mode else ():
                System().write_file(directory / name, files[name], 0o600 if options["secrets"] else 0o644)
        except (TopologyError, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        answer.update(changed=bool(wrong), directory=str(directory), files=sorted(files), counts=counted(variables))
        if self._task.diff:
            answer["diff"] = [diff_of(directory / name, before[name], files[name]) for name in wrong]
        return answer


def _is_wrong(path: Path, text: str, *, secrets: bool) -> bool:
    """Return whether a file must be written: it has another text, or others may read the keys in it."""
    return text_of(path) != text or (secrets and stat.S_IMODE(path.stat().st_mode) & 0o077 != 0)
