# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks over a fleet for clients that two gateways claim, on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.placement.claims import READ_KEYS, disputed
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.placement.reading import CLIENTS
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError
from ansible_collections.splitway.gateway.plugins.plugin_utils.fleet import OtherGateways, fleet_clients

OPTIONS = {"gateways": {"type": "list", "elements": "str", "required": True}}


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(OPTIONS)
        others = OtherGateways(self._loader, task_vars or {})
        gateways = others.all(options["gateways"])
        clients = {name: _own(others, variables) for name, variables in gateways.items()}
        errors = disputed(clients, self._fleet(others, gateways))
        if errors:
            raise AnsibleActionFail("\n".join(errors))
        answer.update(changed=False, gateways=len(gateways))
        return answer

    def _fleet(self, others: OtherGateways, gateways: Mapping[str, Mapping[str, Any]]) -> Any:
        fleet = {name: variables for name, variables in gateways.items() if CLIENTS in variables}
        try:
            return fleet_clients(fleet, others, READ_KEYS) if fleet else []
        except TopologyError as error:
            raise AnsibleActionFail(str(error)) from error


def _own(others: OtherGateways, variables: Mapping[str, Any]) -> Any:
    """Return a gateway's own clients; none where they cannot be read, which is said when its topology is compiled."""
    try:
        return others.filler(variables)(variables.get("splitway_clients"))
    except AnsibleError:
        return None
