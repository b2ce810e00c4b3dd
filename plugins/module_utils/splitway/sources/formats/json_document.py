# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON: a list of texts; `{"domains": […], "networks": […]}`; a list of `{"type": …, "value": …}`; rule sets.

Published address ranges have the same form under names of their own (`prefixes: [{ip_prefix: …}]`).
"""

from __future__ import annotations

import json
from typing import Any

from ...topology.errors import shown
from ...topology.plain import key_path
from ..entries import NO_NAMES, PARTLY, Collector, Entries
from ..errors import SourceError
from . import kinds

DEEPEST = 10
_CONTAINERS = ("rules", "prefixes", "ipv6_prefixes", "lists", "items", "data", "payload", "entries", "result")
_CONDITIONS = ("port", "port_range", "protocol", "network_type", "source_ip_cidr", "process_name", "invert", "mode")
_NARROWING = frozenset((*_CONDITIONS, "source_port", "source_port_range", "query_type", "package_name"))


def read(text: str) -> Entries:
    """Return what a document holds. Raises SourceError when it is none."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SourceError(f"line {error.lineno}: this is not JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:  # a number of thousands of digits is a ValueError
        raise SourceError("this JSON is nested too deeply, or holds a number that is too long") from error
    if not isinstance(document, (list, dict)):
        raise SourceError("this JSON is neither a list nor an object")
    found = Collector()
    _walk(found, "", document, "entries", 0)
    return found.entries()


def _walk(found: Collector, path: str, value: Any, name: str, depth: int) -> None:
    if depth > DEEPEST:
        raise SourceError(f"{path}: this JSON is nested too deeply")
    if isinstance(value, list):
        for index, entry in enumerate(value):
            _walk(found, f"{path}[{index}]", entry, name, depth + 1)
    elif isinstance(value, dict):
        _object(found, path, value, depth)
    elif isinstance(value, str):
        kinds.take(found, path, name, value.strip())
    else:
        found.mistake(path, json.dumps(value), f"{shown(value)} is not a text")


def _object(found: Collector, path: str, value: dict[str, Any], depth: int) -> None:
    if _NARROWING & value.keys():
        found.skip(path or "the document", ", ".join(value), PARTLY)
        return
    kind, entries = str(value.get("type", "")), value.get("value")
    if "type" in value and (isinstance(entries, str) or (isinstance(entries, list) and kinds.of(kind))):
        _walk(found, path, entries, kind, depth + 1)
        return
    for key, entry in value.items():
        step = key_path(path, key).lstrip(".")
        if key in _CONTAINERS:
            _walk(found, step, entry, "entries", depth + 1)
        elif kinds.of(key):
            _walk(found, step, entry, key, depth + 1)
        elif isinstance(entry, (list, dict)):
            found.skip(step, step, NO_NAMES)
