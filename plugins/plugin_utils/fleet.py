# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plugins of a fleet share: other gateways' variables, and the file of the placement."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Callable

from ansible.errors import AnsibleError
from ansible.template import Templar

from ..module_utils._variables import holds_template
from ..module_utils.splitway.placement.reading import CLIENTS, FILE
from ..module_utils.splitway.topology.errors import Report

PLACING = "__splitway_placing"
"""A variable that is there while a gateway's own clients are asked for: the lookup then gives none of the fleet's."""
DEFAULT_FILE = "placement.json"

Fill = Callable[[Any], Any]
"""Returns a value without templates."""


def placement_path(variables: Mapping[str, Any], written: Any) -> Path:
    """Return the path of the placement's file; a relative one begins beside the inventory."""
    folder = variables.get("inventory_dir") or os.getcwd()
    return Path(os.path.abspath(os.path.join(str(folder), os.path.expanduser(str(written or DEFAULT_FILE)))))


class OtherGateways:
    """The variables of gateways, those that do not take part in this run, too; each with its own templates."""

    def __init__(self, loader: Any, task_vars: Mapping[str, Any]) -> None:
        self._loader = loader
        self._hostvars = task_vars["hostvars"]

    def fleet(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Return the untemplated variables of those of the gateways that have clients of the fleet."""
        found = {str(name): self._hostvars.raw_get(name) for name in names}
        return {name: variables for name, variables in found.items() if CLIENTS in variables}

    def all(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Return the untemplated variables of the gateways."""
        return {str(name): self._hostvars.raw_get(name) for name in names}

    def filler(self, variables: Mapping[str, Any]) -> Fill:
        """Return what fills in templates in a gateway's context. It raises AnsibleError."""
        context = {**variables, "hostvars": self._hostvars, PLACING: True}
        # One of its own: lookups in a copy of another (copy_with_new_env) have the other's variables (2.16).
        templar = Templar(loader=self._loader, variables=context)
        return lambda value: templar.template(value) if holds_template(value) else value


def fleet_clients(gateways: Mapping[str, Mapping[str, Any]], others: OtherGateways, keys: Iterable[str]) -> Any:
    """Return the entries of splitway_fleet_clients; of their values only those of some keys, without templates.

    Raises TopologyError when gateways have other entries than the first, and for templates that cannot be filled in.
    """
    first, *rest = sorted(gateways)
    entries = gateways[first][CLIENTS]
    report = Report()
    for name in rest:
        own = gateways[name][CLIENTS]
        if own is not entries and own != entries:
            report.add(f"{name}: {CLIENTS}", f"is another than that of {first}: it belongs to a group of all the fleet")
    report.finish()
    fill = others.filler(gateways[first])
    if isinstance(entries, str):
        entries = _filled(report, CLIENTS, entries, fill)
    if isinstance(entries, list):
        wanted = frozenset(keys)
        seen = (_seen(entry, wanted) for entry in entries)
        entries = [_filled(report, f"{CLIENTS}[{index}]", entry, fill) for index, entry in enumerate(seen)]
    report.finish()
    return entries


def _filled(report: Report, path: str, value: Any, fill: Fill) -> Any:
    """Return a value without templates; what is undefined, or vaulted with another password, is reported."""
    try:
        return fill(value)
    except AnsibleError as error:
        report.add(path, error)
        return None


def _seen(entry: Any, keys: frozenset[str]) -> Any:
    """Return an entry in which values of other keys are only there, so that no secret is looked at."""
    if not isinstance(entry, Mapping):
        return entry
    return {key: value if key in keys or value is None else True for key, value in entry.items()}


__all__ = ["FILE", "PLACING", "OtherGateways", "fleet_clients", "placement_path"]
