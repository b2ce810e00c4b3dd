# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads clients, upstreams, lists and policies from files on the controller into a file of variables."""

from __future__ import annotations

import shutil
import stat
import time
from fnmatch import fnmatchcase
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
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.exchange import (
    ExchangeError,
    Outcome,
    VariablesError,
    import_files,
    read_variables,
    replaced,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.exchange.importing import OTHERS, file_names
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.exchange.kinds import FORMATS
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.exchange.report import report
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.exchange.wg_easy import DATABASES
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.wg_easy import DatabaseError, snapshot

OPTIONS = {
    "directory": {"type": "path", "required": True},
    "destination": {"type": "path", "required": True},
    "format": {"type": "str", "choices": [*FORMATS, *OTHERS]},
    "partial": {"type": "bool", "default": False},
}
ENDINGS = ("", ".yml", ".yaml", ".json")
"""Of the files and folders of a host or group, in the order in which Ansible looks: it reads the first one only."""


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(OPTIONS)
        directory, destination = absolute(options["directory"]), absolute(options["destination"]).resolve()
        try:
            _check_place(destination)
            files = _files(directory, options["format"])
            before = text_of(destination)
            there = read_variables(before or "")
            variables = topology_variables(self._templar, task_vars or {})
            outcome = import_files(files, variables, there, partial=options["partial"])
            after = replaced(there, outcome.values) if outcome.values else before or ""
        except VariablesError as error:
            raise AnsibleActionFail(f"{destination} {error}") from error
        except (ExchangeError, TopologyError, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        answer.update(_said(outcome, partial=options["partial"]), destination=str(destination))
        if outcome.refused and not options["partial"]:
            answer.update(failed=True, changed=False, msg=f"{answer['report'][-1]}: refused says what and why")
            return answer
        answer.update(changed=after != (before or ""))
        if self._task.diff and answer["changed"]:
            answer["diff"] = diff_of(destination, before or "", after)
        if answer["changed"] and not self._task.check_mode:
            answer["backup_file"] = _written(destination, after)
        return answer


def _said(outcome: Outcome, *, partial: bool) -> dict[str, Any]:
    refused = [
        {"file": each.file, "line": each.line, "where": each.where, "reason": each.problem} for each in outcome.refused
    ]
    changes = {
        kind: {"added": list(change.added), "changed": list(change.changed), "removed": list(change.removed)}
        for kind, change in outcome.changes.items()
    }
    return {
        "report": report(outcome, partial=partial),
        "refused": refused,
        "notes": list(outcome.notes),
        "taken": outcome.taken,
        "changes": changes,
    }


def _files(place: Path, form: Optional[str]) -> dict[str, bytes]:
    """Return the contents of the files to import, of a folder or a single one. Raises ExchangeError and OSError."""
    names = file_names(form)
    if place.is_file():
        paths = [place] if any(fnmatchcase(place.name, name) for name in names) else []
    else:
        paths = [path for name in names for path in sorted(place.glob(name)) if path.is_file()]
    if not paths:
        raise ExchangeError(f"{place} has none of {', '.join(names)}")
    return {path.name: _content(path) for path in paths}


def _content(path: Path) -> bytes:
    """Return a file's content; a database's as of its last commit, whoever has it open."""
    if not fnmatchcase(path.name, DATABASES):
        return path.read_bytes()
    try:
        return snapshot(path)
    except DatabaseError as error:
        raise ExchangeError(f"{path}: {error}") from error


def _check_place(destination: Path) -> None:
    """Raise ExchangeError if Ansible would not read the file, or no longer read another for it."""
    if destination.suffix not in (".yml", ".yaml"):
        raise ExchangeError(f"{destination} is no file of variables: its name ends with .yml or .yaml")
    for place in (destination, destination.parent):
        if place.parent.name in ("group_vars", "host_vars"):
            stem = place.parent / (place.stem if place == destination else place.name)
            others = [other for other in (stem.with_name(stem.name + ending) for ending in ENDINGS) if other != place]
            there = next((other for other in others if other.exists()), None)
            if there is not None:
                raise ExchangeError(f"Ansible reads only one of {there} and {place}: import into the one that is there")


def _written(destination: Path, text: str) -> str:
    """Write the file, with the mode that it has; return its backup's name, "" for a new file."""
    backup = ""
    mode = 0o600
    if destination.exists():
        mode = stat.S_IMODE(destination.stat().st_mode)
        backup = f"{destination}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"  # Ansible reads no file that ends so
        shutil.copy2(destination, backup)
    System().write_file(destination, text, mode)
    return backup
