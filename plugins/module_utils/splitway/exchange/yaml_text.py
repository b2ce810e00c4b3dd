# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables as YAML that people edit: an entry or a rule a line where it fits, keys in their order, the same each time.

PyYAML's fast writer indents no lists, its other one takes a second for a thousand clients.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LONGEST_LINE = 110  # characters of an entry that stands in one line

_ADDRESS = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:/[0-9]{1,2})?"
_PLAIN = re.compile(rf"[A-Za-z_/](?:[A-Za-z0-9_./@+=-]|:(?=[A-Za-z0-9_/]))*|{_ADDRESS}")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # YAML 1.1 reads them as no text


@dataclass(frozen=True)
class Tagged:
    """A value with a tag of its own (`!vault`, `!unsafe`), as it is written."""

    tag: str
    text: str


def variable_text(name: str, value: Any) -> str:
    """Return the lines of one variable, its entries each on lines of their own. Raises ValueError."""
    if not isinstance(value, (dict, list)) or not value:
        return f"{name}: {_flow(value)}\n"
    return "\n".join((f"{name}:", *_block(value, "  "))) + "\n"


def _block(value: Any, indent: str) -> Iterator[str]:
    """Yield the lines of a mapping or list that has entries."""
    entries = value.items() if isinstance(value, dict) else ((None, entry) for entry in value)
    for key, entry in entries:
        begin = f"{indent}- " if key is None else f"{indent}{_flow(key)}: "
        line = _in_one_line(entry, LONGEST_LINE - len(begin))
        if line is not None:
            yield begin + line
        elif isinstance(entry, Tagged):
            yield f"{begin}{entry.tag} {'|' if entry.text.endswith(chr(10)) else '|-'}"
            yield from (f"{indent}  {part}" for part in entry.text.splitlines())
        elif key is None:  # a mapping or list in a list begins in its line
            first, *rest = _block(entry, f"{indent}  ")
            yield begin + first.lstrip()
            yield from rest
        else:
            yield begin.rstrip()
            yield from _block(entry, f"{indent}  ")


def _in_one_line(value: Any, longest: int) -> Any:
    """Return a value as one line; None if it is too long, or has parts that need lines of their own."""
    if isinstance(value, Tagged):
        lines = value.text.splitlines()
        several = len(lines) > 1 and value.text.isascii() and all(line and line[0] != " " for line in lines)
        return None if several else f"{value.tag} {_quoted(value.text)}"
    if not isinstance(value, (dict, list)) or not value:
        return _flow(value)
    try:
        line = _flow(value)
    except _NotInOneLine:
        return None
    return line if len(line) <= longest else None


class _NotInOneLine(Exception):
    """A tagged value is inside."""


def _flow(value: Any) -> str:
    """Return a value in one line, as YAML reads it."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        return _quoted(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_flow(key)}: {_flow(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, Tagged):
        raise _NotInOneLine
    if isinstance(value, float):
        text = json.dumps(value)
        return text if "." in text else text.replace("e", ".0e")
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    raise ValueError(f"a {type(value).__name__} cannot be written")


def _quoted(text: str) -> str:
    """Return a text in quotes. Of JSON's escapes YAML does not read those of letters beyond U+FFFF."""
    quoted = json.dumps(text, ensure_ascii=False)
    if quoted.isprintable():
        return quoted
    return "".join(letter if letter.isprintable() else _escaped(ord(letter)) for letter in quoted)


def _escaped(number: int) -> str:
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
