# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies wg-easy's database from a host to the controller."""

from __future__ import annotations

import base64
import zlib
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._exchange import absolute
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        answer.update(self._execute_module(task_vars=task_vars))
        image = answer.pop("image", None)  # full of keys: nothing that logs ever sees it
        answer.pop("invocation", None)
        if image is None:
            return answer
        destination = absolute(self._task.args["destination"])
        content = zlib.decompress(base64.b64decode(image))
        try:
            there = destination.read_bytes() if destination.is_file() else None
            if there != content and not self._task.check_mode:
                System().write_file(destination, content)
        except OSError as error:
            raise AnsibleActionFail(f"{destination}: {error.strerror}") from error
        answer.update(changed=there != content, destination=str(destination))
        return answer
