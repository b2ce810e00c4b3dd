# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries ↔ JSON: the value of the variable as it is. Read so that each entry knows where it stands."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Any, Optional

from ..topology.errors import shown
from .entries import Entry, Refused, Steps
from .kinds import Kind
from .tables import decoded

_SPACE = re.compile(r"[ \t\n\r]*")


def write_document(value: Any) -> str:
    """Return a value as JSON, one scalar a line: a change of one is one line of a diff."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    return f"{text}\n"


class Document:
    """A JSON text whose parts are found again when something is wrong with them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.line_ends = [found.start() for found in re.finditer("\n", text)]
        self.decoder = json.JSONDecoder(object_pairs_hook=_mapping, parse_constant=_no_number)

    def line(self, position: int) -> int:
        return bisect_left(self.line_ends, position) + 1

    def begin(self) -> int:
        return self._past_space(0)

    def parts(self, position: int) -> Iterator[tuple[Any, int, Any]]:
        """Yield (key or index, where its value begins, value) of the mapping or list at a position.

        Raises ValueError as json does, and yields nothing for a scalar.
        """
        if self.text[position : position + 1] not in ("{", "["):
            return
        mapping = self.text[position] == "{"
        position, index = self._past_space(position + 1), 0
        while self.text[position : position + 1] not in ("}", "]"):
            key: Any = index
            if mapping:
                key, position = self.decoder.raw_decode(self.text, position)
                position = self._past(position, ":")
            value, end = self.decoder.raw_decode(self.text, position)
            yield key, position, value
            position, index = self._past_space(end), index + 1
            if self.text[position : position + 1] == ",":
                position = self._past_space(position + 1)

    def _past(self, position: int, mark: str) -> int:
        return self._past_space(self.text.index(mark, position) + 1)

    def _past_space(self, position: int) -> int:
        found = _SPACE.match(self.text, position)
        return found.end() if found else position

    def find(self, position: int, steps: Steps) -> int:
        """Return where the value at some steps below a position begins, or the last of them that is there."""
        for step in steps:
            found = next((begin for key, begin, _ in self.parts(position) if key == step), None)
            if found is None:
                break
            position = found
        return position


def read_document(file: str, content: bytes, refused: Refused) -> Optional[Document]:
    """Return a file's document; None after it has been refused."""
    document = Document(decoded(file, content, refused))
    if file in refused.files:
        return None
    try:
        # Once as a whole: what follows may then rely on its form.
        document.decoder.decode(document.text)
    except json.JSONDecodeError as error:
        refused.file(file, error.lineno, f"is not JSON: {error.msg} (column {error.colno})")
    except _Repeated as error:
        line = _line_of_second(document.text, str(error))
        refused.file(file, line, f"{shown(str(error))} is there twice")
    except (ValueError, RecursionError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else error
        refused.file(file, 1, f"is not JSON: {problem}")
    else:
        return document
    return None


def read_entries(kind: Kind, file: str, content: bytes, refused: Refused) -> list[Entry]:
    """Return the entries of a file: a list of mappings with names, or a mapping by name where the variable is one."""
    document = read_document(file, content, refused)
    if document is None:
        return []
    form = document.text[document.begin() : document.begin() + 1]
    if form != "[" and not (kind.by_name and form == "{"):
        wanted = f"a mapping from the name to {kind.what}" if kind.by_name else "a list of mappings"
        refused.file(file, 1, f"is not {wanted}")
        return []
    entries = []
    names: set[Any] = set()
    for key, begin, value in document.parts(document.begin()):
        entry = _entry(kind, file, document, key, begin, value)
        if kind.by_name and (not isinstance(entry.name, str) or entry.name in names):
            problem = f"{shown(entry.name)} is there twice" if isinstance(entry.name, str) else "has no name"
            refused.file(file, entry.line, problem)
            continue
        names.add(entry.name if kind.by_name else None)
        entries.append(entry)
    return entries


def _entry(kind: Kind, file: str, document: Document, key: Any, begin: int, value: Any) -> Entry:
    name = value.get("name") if isinstance(value, dict) and isinstance(key, int) else key
    if kind.by_name and isinstance(value, dict) and isinstance(key, int):
        value = {own: entry for own, entry in value.items() if own != "name"}

    def place(steps: Steps) -> tuple[int, Steps]:
        return document.line(document.find(begin, steps)), steps

    return Entry(name, value, file, document.line(begin), place)


class _Repeated(ValueError):
    """A key is twice in one mapping; the message is the key."""


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return found


def _line_of_second(text: str, key: str) -> int:
    """Return about where a key is for the second time; json does not say where it was."""
    quoted = re.escape(json.dumps(key, ensure_ascii=False))
    found = list(re.finditer(rf"{quoted}\s*:", text))
    return text.count("\n", 0, found[1].start()) + 1 if len(found) > 1 else 1


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")
