# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins of export and import share: the gateway's variables, and files on the controller."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ._variables import holds_template
from .splitway.topology.errors import hidden
from .splitway.topology.parse import VARIABLES


def topology_variables(templar: Any, task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of the gateway's topology, without templates."""
    given = {name: task_vars[name] for name in VARIABLES if name in task_vars}
    return {name: templar.template(value) if holds_template(value) else value for name, value in given.items()}


def absolute(path: str) -> Path:
    """Return a path of the operator: relative ones begin where Ansible was started."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def text_of(path: Path) -> Optional[str]:
    """Return a file's text, its line ends as they are; None when it does not exist. Raises OSError."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise OSError(f"{path} is not UTF-8") from error


def diff_of(path: Path, before: str, after: str) -> dict[str, str]:
    """Return the diff of a file, without keys."""
    return {
        "before_header": str(path),
        "after_header": str(path),
        "before": hidden(before),
        "after": hidden(after),
    }
