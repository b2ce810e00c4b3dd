# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plugins of a fleet share: other gateways' variables, and the file of the placement."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from ._variables import holds_template
from .splitway.placement.reading import CLIENTS, FILE

PLACING = "__splitway_placing"
"""A variable that is there while a gateway's own clients are asked for: the lookup then gives none of the fleet's."""
DEFAULT_FILE = "placement.json"


def placement_path(variables: Mapping[str, Any], written: Any) -> Path:
    """Return the path of the placement's file; a relative one begins beside the inventory."""
    folder = variables.get("inventory_dir") or os.getcwd()
    return Path(os.path.abspath(os.path.join(str(folder), os.path.expanduser(str(written or DEFAULT_FILE)))))


class OtherGateways:
    """The variables of gateways, those that do not take part in this run, too; each with its own templates."""

    def __init__(self, templar: Any, task_vars: Mapping[str, Any]) -> None:
        self._templar = templar
        self._hostvars = task_vars["hostvars"]

    def fleet(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Return the untemplated variables of those of the gateways that have clients of the fleet."""
        found = {str(name): self._hostvars.raw_get(name) for name in names}
        return {name: variables for name, variables in found.items() if CLIENTS in variables}

    def all(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Return the untemplated variables of the gateways."""
        return {str(name): self._hostvars.raw_get(name) for name in names}

    def templated(self, variables: Mapping[str, Any], value: Any) -> Any:
        """Return a value without templates, in a gateway's context. Raises AnsibleError."""
        if not holds_template(value):
            return value
        context = {**variables, "hostvars": self._hostvars, PLACING: True}
        return self._templar.copy_with_new_env(available_variables=context).template(value)


def fleet_clients(gateways: Mapping[str, Mapping[str, Any]], others: OtherGateways, keys: Iterable[str]) -> Any:
    """Return the entries of splitway_fleet_clients; of their values only those of some keys, without templates.

    Raises AnsibleError when gateways have other entries than the first.
    """
    first, *rest = sorted(gateways)
    entries = gateways[first][CLIENTS]
    for name in rest:
        own = gateways[name][CLIENTS]
        if own is not entries and own != entries:
            raise AnsibleError(
                f"{name}: {CLIENTS} is another than that of {first}: it belongs to a group that has all of the fleet"
            )
    if isinstance(entries, str):
        entries = others.templated(gateways[first], entries)
    if not isinstance(entries, list):
        return entries
    wanted = frozenset(keys)
    seen = [_seen(entry, wanted) for entry in entries]
    return [others.templated(gateways[first], entry) for entry in seen]


def _seen(entry: Any, keys: frozenset[str]) -> Any:
    """Return an entry in which values of other keys are only there, so that no secret is looked at."""
    if not isinstance(entry, Mapping):
        return entry
    return {key: value if key in keys else value is not None or None for key, value in entry.items()}


__all__ = ["FILE", "PLACING", "OtherGateways", "fleet_clients", "placement_path"]
