# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that come from a file on the controller: it is looked at here, so that the engine can name it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .splitway.topology import TopologyError

VARIABLE = "splitway_programs"


def with_checksums(variables: Mapping[str, Any], find: Callable[[str], str]) -> dict[str, Any]:
    """Return the variables, each program's `source` as an absolute path with its file's checksum.

    What is wrong with their form is left to the topology's reader. Raises TopologyError when a file cannot be read, or
    is another than the operator says.
    """
    variables = dict(variables)
    if not isinstance(variables.get(VARIABLE), Mapping):
        return variables
    programs = variables[VARIABLE] = copy.deepcopy(dict(variables[VARIABLE]))
    for name, entry in programs.items():
        if isinstance(entry, dict) and isinstance(entry.get("source"), str) and entry["source"]:
            entry["source"] = find(entry["source"])
            found = _checksum(f"{VARIABLE}.{name}.source", Path(entry["source"]))
            said = entry.get("checksum")
            if isinstance(said, str) and said.lower().removeprefix("sha256:") != found:
                raise TopologyError(f"{VARIABLE}.{name}.source: {entry['source']} has another checksum, sha256:{found}")
            entry.setdefault("checksum", found)
    return variables


def _checksum(path: str, file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise TopologyError(f"{path}: {file}: {error.strerror} (on the controller)") from error
