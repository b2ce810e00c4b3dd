# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs splitway_agent on the gateway; ships the engine there, by one file, when the gateway lacks this version."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.engine import archive, version


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        arguments = {**self._task.args, "engine": self._task.args.get("engine") or version()}
        said = self._execute_module(module_args=arguments, task_vars=task_vars)
        if said.get("lacks_engine") and not self._task.check_mode:
            arguments["source"] = self._shipped(arguments["engine"])
            said = self._execute_module(module_args=arguments, task_vars=task_vars)
        said.pop("lacks_engine", None)
        answer.update(said)
        self._remove_tmp_path(self._connection._shell.tmpdir)
        return answer

    def _shipped(self, engine: str) -> str:
        """Return where on the gateway the engine's archive is now."""
        if engine != version():
            raise AnsibleActionFail(f"engine: the gateway lacks {engine}, and this collection has {version()}")
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, "engine.tar.gz")
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "engine.tar.gz"
            local.write_bytes(archive())
            self._transfer_file(str(local), remote)
        return remote
