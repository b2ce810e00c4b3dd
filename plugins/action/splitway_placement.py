# SPDX-License-Identifier: GPL-3.0-or-later
"""Places the clients of a fleet on its gateways, on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._exchange import diff_of, text_of
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.placement import plan
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.placement.document import (
    kept,
    placement_of,
    text,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.placement.reading import (
    CLIENTS,
    GATEWAY,
    READ_KEYS,
    Fleet,
    read_fleet,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.placement.text import data, lines
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError
from ansible_collections.splitway.gateway.plugins.plugin_utils.fleet import (
    FILE,
    OtherGateways,
    fleet_clients,
    placement_path,
)

OPTIONS = {
    "gateways": {"type": "list", "elements": "str", "required": True},
    "file": {"type": "path"},
    "rebalance": {"type": "bool", "default": False},
}
OF_GATEWAYS = ("splitway_server", GATEWAY, "splitway_clients")


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _, options = self.validate_argument_spec(OPTIONS)
        try:
            path = self._path(options, variables)
            fleet = self._fleet(options["gateways"], variables)
            before = text_of(path) or ""
            placement = placement_of(kept(before, str(path)), str(path)) if before else {}
            planned = plan(fleet.members, fleet.gateways, placement, rebalance=options["rebalance"])
            after = text(planned.placement)
            if before != after and not self._task.check_mode:
                System().write_file(path, after, 0o644)
        except (TopologyError, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        answer.update(changed=before != after, file=str(path), plan=lines(planned, fleet.gateways), **data(planned))
        if self._task.diff:
            answer["diff"] = [diff_of(path, before, after)] if before != after else []
        return answer

    def _path(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> Path:
        """Return where the placement is kept, for all gateways. Raises TopologyError if it is not one place."""
        gateways = OtherGateways(self._loader, variables).fleet(options["gateways"])
        paths = {placement_path(own, options["file"]): name for name, own in sorted(gateways.items(), reverse=True)}
        if len(paths) > 1:
            files = ", ".join(f"{path} ({name})" for path, name in sorted(paths.items()))
            raise TopologyError(f"{FILE}: is another file for each inventory, write a whole path: {files}")
        return next(iter(paths), placement_path(variables, options["file"]))

    def _fleet(self, names: list[str], variables: Mapping[str, Any]) -> Fleet:
        """Return the fleet of those of the gateways that have splitway_fleet_clients. Raises TopologyError."""
        others = OtherGateways(self._loader, variables)
        gateways = others.fleet(names)
        if not gateways:
            raise AnsibleActionFail(f"{CLIENTS} is defined for none of the gateways: there is nobody to place")
        found: dict[str, dict[str, Any]] = {}
        errors = []
        for name, own in gateways.items():
            fill = others.filler(own)
            found[name] = dict.fromkeys(key for key in own if str(key).startswith("splitway_"))
            for key in OF_GATEWAYS:
                try:
                    found[name][key] = fill(own.get(key))
                except AnsibleError as error:
                    errors.append(f"{name}: {key}: {error}")
        if errors:
            raise TopologyError(*errors)
        return read_fleet(fleet_clients(gateways, others, READ_KEYS), found)
