# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges on the controller what looks at gateways found, and writes the verdicts on all of them to files."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._exchange import absolute
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import SECTIONS
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System
from ansible_collections.splitway.gateway.plugins.plugin_utils.verdict_files import as_json, as_junit
from ansible_collections.splitway.gateway.plugins.plugin_utils.verdicts import SAME, judge

OPTIONS = {
    "gateways": {"type": "dict", "required": True},
    "json": {"type": "path"},
    "junit": {"type": "path"},
}
WRITERS = {"json": as_json, "junit": as_junit}


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(OPTIONS)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        verdicts = [judge(name, found, SECTIONS, now) for name, found in sorted(options["gateways"].items())]
        written = {kind: absolute(options[kind]) for kind in WRITERS if options[kind]}
        try:
            for kind, path in written.items() if not self._task.check_mode else ():
                System().write_file(path, WRITERS[kind](verdicts, now), 0o644)
        except OSError as error:
            raise AnsibleActionFail(f"the verdicts cannot be written: {error}") from error
        answer.update(
            changed=bool(written),
            as_it_should_be=all(verdict.status == SAME for verdict in verdicts),
            gateways={verdict.gateway: dataclasses.asdict(verdict) for verdict in verdicts},
            files=[str(path) for path in written.values()],
        )
        return answer
