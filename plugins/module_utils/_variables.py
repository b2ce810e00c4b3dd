# SPDX-License-Identifier: GPL-3.0-or-later
"""A look into an operator's variables: are they plain values?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .splitway.topology.plain import may_be_template

DEEPEST = 10  # levels; a topology has five. YAML aliases can make a list that holds itself


def holds_template(value: Any, depth: int = 0) -> bool:
    """Return whether a variable has to be templated: a text in it may be a template, or is none yet (a vault's)."""
    if isinstance(value, str):
        return may_be_template(value)
    if isinstance(value, (Mapping, list, tuple)):
        entries = (*value, *value.values()) if isinstance(value, Mapping) else value
        return depth > DEEPEST or any(holds_template(entry, depth + 1) for entry in entries)
    return value is not None and not isinstance(value, (bool, int, float))
