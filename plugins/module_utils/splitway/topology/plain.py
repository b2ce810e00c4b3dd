# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's values → plain ones: dicts, lists, str, int, float, bool and None, nothing else.

Variables may hold tagged or unsafe strings, undefined Jinja values, vaulted text, dates that YAML found.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from .errors import Report, shown

DEEPEST = 8  # levels; a topology has five. YAML aliases can make a list that holds itself.


_MOMENTS = ("expires", "until")  # keys whose value YAML may read as a date

_TEMPLATES = ("{{", "{%", "{#", "#jinja2:")  # what they begin with


def may_be_template(text: str) -> bool:
    """Return whether Ansible would take a text for a template."""
    return any(marker in text for marker in _TEMPLATES)


class Broken:
    """Stands for a value that was reported already."""


BROKEN: Final = Broken()


def plain(value: Any, path: str, report: Report, depth: int = 0) -> Any:
    """Return the value as plain data; what cannot be is reported under its path and becomes BROKEN."""
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, (Mapping, list, tuple)):
        return _plain_container(value, path, report, depth + 1)
    problem = _undefined(value)
    encrypted = getattr(value, "__ENCRYPTED__", False)  # Ansible < 2.19: vaulted text, decrypted by str()
    if not problem and (encrypted or _moment(value, path)):
        return str(value)
    report.add(path, problem or f"a {type(value).__name__} is of no use here; is it text that wants quotes?")
    return BROKEN


def key_path(path: str, key: Any) -> str:
    """Return the path of a mapping's key."""
    simple = isinstance(key, str) and key.replace("_", "").replace("-", "").isalnum() and key.isascii()
    return f"{path}.{key}" if simple and len(key) <= 40 else f"{path}[{shown(key)}]"


def _plain_container(value: Any, path: str, report: Report, depth: int) -> Any:
    if depth > DEEPEST:
        report.add(path, "is nested too deeply")
        return BROKEN
    if not isinstance(value, Mapping):
        return [
            item if type(item) is str else plain(item, f"{path}[{index}]", report, depth)
            for index, item in enumerate(value)
        ]
    result = {}
    for key in value:
        if key is None or isinstance(key, (str, int, float)):
            name = plain(key, path, report)
            result[name] = plain(value[key], key_path(path, name), report, depth)
        else:
            report.add(path, f"a key of the type {type(key).__name__} is of no use here")
    return result


def _moment(value: Any, path: str) -> bool:
    """Return whether a value is a date, or a date and a time, where one is meant; `str` writes it as ISO 8601 does."""
    return isinstance(value, date) and path.rpartition(".")[2] in _MOMENTS


def _undefined(value: Any) -> str:
    """Return the problem of an undefined Jinja value, nothing for any other. It may only be touched with care."""
    if not any(base.__name__ == "Undefined" for base in type(value).__mro__):
        return ""
    name = getattr(value, "_undefined_name", None)
    return f"is undefined: there is no variable {shown(name)}" if isinstance(name, str) else "is undefined"
