# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a generation: JSON, one line a section, sealed with a checksum.

Whoever needs one section of megabytes parses its line only; whoever puts a generation together from sections that
are JSON already parses none. The checksum is over all of it, always.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, cast

from .state import SCHEMA, SECTIONS, State, from_data

Parts = Mapping[str, str]
"""Field of a State → its JSON text, of one line."""

FIELDS = tuple(field.name for field in dataclasses.fields(State))

_SEAL = re.compile(r'\{"sha256":"([0-9a-f]{64})","state":(.*)\}\n', re.DOTALL)


def part(value: Any) -> str:
    """Return the JSON text of a section, or of a part of one; keys in a fixed order."""
    return json.dumps(value, default=_plain, separators=(",", ":"), sort_keys=True)


def _plain(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _names(cast(Any, type(value)))}


@functools.cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def parts_of(state: State) -> dict[str, str]:
    """Return the texts of a state."""
    return {name: part(getattr(state, name)) for name in FIELDS}


def state_of(parts: Parts, sections: Collection[str] = SECTIONS) -> State:
    """Return the state of these texts, of its sections these. Raises ValueError when it is damaged."""
    wanted = {name: text for name, text in parts.items() if name in sections or name not in SECTIONS}
    return from_data(State, {name: json.loads(text) for name, text in wanted.items()})


def to_json(parts: Parts) -> str:
    """Return the texts as one JSON text."""
    lines = ",\n".join(f'"{name}":{parts[name]}' for name in sorted(parts))
    return f"{{\n{lines}\n}}"


def sealed(parts: Parts) -> str:
    """Return the text of a file: the state, its checksum before it."""
    text = to_json(parts)
    return f'{{"sha256":"{hashlib.sha256(text.encode()).hexdigest()}","state":{text}}}\n'


def unsealed(text: str) -> dict[str, str]:
    """Return the texts in a file. Raises ValueError unless it is what was sealed, to the byte, and of our schema."""
    match = _SEAL.fullmatch(text)
    if match is None or hashlib.sha256(match[2].encode()).hexdigest() != match[1]:
        raise ValueError("its checksum does not fit" if match else "it is cut off, or not ours")
    parts = _lines(match[2]) if match[2].startswith("{\n") else _whole(match[2])
    if parts.get("schema") != str(SCHEMA):
        raise ValueError(f"not a state of schema {SCHEMA}")
    return parts


def _lines(text: str) -> dict[str, str]:
    found = {}
    for line in text[2:-2].split("\n"):  # JSON has no line ends inside a value
        end = line.index('"', 1)
        found[line[1:end]] = line[end + 2 : -1 if line.endswith(",") else None]
    return found


def _whole(text: str) -> dict[str, str]:
    """Return the texts of a file that an earlier engine wrote in one line."""
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("not a state")
    return {name: part(value) for name, value in data.items()}


def digest(state: State) -> str:
    """Return a fingerprint of a state. Seeds count for nothing, they matter at creation only; nor does the source."""
    plain = dataclasses.replace(
        state, source="", sets=tuple(dataclasses.replace(entry, seed_from=None) for entry in state.sets)
    )
    found = hashlib.sha256()
    for name in FIELDS:  # one after the other: together they are megabytes
        found.update(part(getattr(plain, name)).encode())
    return found.hexdigest()
