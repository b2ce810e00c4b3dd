# SPDX-License-Identifier: GPL-3.0-or-later
"""Explains on the controller, without a host, why a client's traffic goes where it goes."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.explain import ExplainError, explain
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.explain.subject import (
    PROTOCOLS,
    check_service,
    missing_client,
    read_destination,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.explain.text import explanation_text
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.present import at
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import State, from_data, to_data

OPTIONS = {
    "client": {"type": "str", "required": True},
    "to": {"type": "str", "required": True},
    "port": {"type": "int"},
    "proto": {"type": "str", "choices": list(PROTOCOLS)},
    "state": {"type": "dict", "required": True},
    "absent": {"type": "str", "choices": ["fail", "skip"], "default": "fail"},
}


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(OPTIONS)
        try:
            state = from_data(State, options["state"])
            if state.marks is not None:
                state = dataclasses.replace(state, marks=at(state.marks, time.time()))
            if options["absent"] == "skip":
                check_service(options["port"], options["proto"])
                read_destination(options["to"])  # what is mistyped is told by whoever is asked
                missing = missing_client(state, options["client"])
                if missing:
                    return {**result, "changed": False, "skipped": True, "skip_reason": missing}
            explanation = explain(
                state, options["client"], options["to"], port=options["port"], protocol=options["proto"]
            )
        except ValueError as error:  # an ExplainError is one
            prefix = "" if isinstance(error, ExplainError) else "state: "
            raise AnsibleActionFail(f"{prefix}{error}") from error
        result.update(changed=False, explanation=to_data(explanation), text=explanation_text(explanation))
        return result
