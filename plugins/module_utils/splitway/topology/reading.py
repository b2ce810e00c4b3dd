# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the operator's mappings and lists: each value is parsed, each problem is reported under its path."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, Optional, TypeVar

from .errors import Report, TopologyError, shown, suggestion
from .plain import BROKEN, key_path

T = TypeVar("T")
Parse = Callable[[Any], T]
"""Returns the canonical value, or raises TopologyError with the value and what is wrong with it, without a path."""

NEARLY = 0.93  # how alike an unknown splitway_… variable and a known one are before it is taken for a slip


def check_slips(report: Report, variables: Mapping[Any, Any], known: tuple[str, ...]) -> None:
    """Report `splitway_client` and the like: a gateway without its clients is not what was meant."""
    for key in variables:
        if isinstance(key, str) and key.startswith("splitway_") and key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=NEARLY)
            if near:
                report.add(shown(key).strip('"'), f"unknown variable; did you mean {near[0]}?")


def parse_value(report: Report, path: str, value: Any, parse: Parse[T]) -> Optional[T]:
    """Return the parsed value, or None after its problem has been reported."""
    if value is BROKEN:
        return None
    try:
        return parse(value)
    except TopologyError as error:
        report.add(path, error)
        return None


def as_list(report: Report, path: str, value: Any) -> list[Any]:
    """Return a list; no value is an empty one, anything else is reported and is an empty one, too."""
    if isinstance(value, list):
        return value
    if value is not None and value is not BROKEN:
        report.add(path, f"{shown(value)} is not a list")
    return []


def parse_list(report: Report, path: str, value: Any, parse: Parse[T]) -> list[Optional[T]]:
    """Return the parsed entries of a list, None in place of each that was wrong. No value is an empty list."""
    entries: list[Optional[T]] = []
    for index, item in enumerate(as_list(report, path, value)):
        try:
            entries.append(None if item is BROKEN else parse(item))
        except TopologyError as error:
            entries.append(None)
            report.add(f"{path}[{index}]", error)
    return entries


def good(entries: Iterable[Optional[T]]) -> tuple[T, ...]:
    """Return the entries that were right, each once."""
    return tuple(dict.fromkeys(entry for entry in entries if entry is not None))


def as_mapping(report: Report, path: str, value: Any) -> dict[Any, Any]:
    """Return a mapping; no value is an empty one, anything else is reported and is an empty one, too."""
    if isinstance(value, dict):
        return value
    if value is not None and value is not BROKEN:
        report.add(path, f"{shown(value)} is not a mapping")
    return {}


def mappings(report: Report, path: str, value: Any) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield (path, entry) for each mapping in a list, and report what is none."""
    for index, entry in enumerate(as_list(report, path, value)):
        if isinstance(entry, dict):
            yield f"{path}[{index}]", entry
        elif entry is not BROKEN:
            report.add(f"{path}[{index}]", f"{shown(entry)} is not a mapping")


class Fields:
    """One of the operator's mappings, read key by key. A key without a value (null) counts as absent."""

    __slots__ = ("path", "report", "values")

    def __init__(self, report: Report, path: str, value: Any, known: tuple[str, ...]) -> None:
        self.report = report
        self.path = path
        self.values = as_mapping(report, path, value)
        for key in self.values:
            if key not in known:
                report.add(key_path(path, key), f"unknown key{suggestion(key, known)}")

    def given(self, key: str) -> bool:
        return self.values.get(key) is not None

    def get(self, key: str, parse: Parse[T]) -> Optional[T]:
        """Return the parsed value; None if it is absent or wrong."""
        value = self.values.get(key)
        return None if value is None else parse_value(self.report, f"{self.path}.{key}", value, parse)

    def get_or(self, key: str, parse: Parse[T], default: T) -> T:
        """Return the parsed value; the default if it is absent or wrong."""
        value = self.get(key, parse)
        return default if value is None else value

    def require(self, key: str, parse: Parse[T]) -> Optional[T]:
        """Return the parsed value; None after its absence or its problem has been reported."""
        if not self.given(key):
            self.report.add(f"{self.path}.{key}", "is required")
            return None
        return self.get(key, parse)

    def entries(self, key: str, parse: Parse[T]) -> list[Optional[T]]:
        """Return the parsed entries of a list, None in place of each that was wrong."""
        return parse_list(self.report, f"{self.path}.{key}", self.values.get(key), parse)

    def require_entries(self, key: str, parse: Parse[T]) -> list[Optional[T]]:
        """Return the parsed entries of a list that must have at least one."""
        value = self.values.get(key)
        if value is None or value == []:
            self.report.add(f"{self.path}.{key}", "is required" if value is None else "is empty")
        return self.entries(key, parse)


class Claims:
    """What only one may have: remembers the first that claimed each value."""

    def __init__(self, report: Report, taken: str) -> None:
        self.report = report
        self.taken = taken  # how a message goes on before the first claimant
        self.claimants: dict[Any, str] = {}

    def claim(self, path: str, value: Any, claimant: str, spelling: str = "") -> None:
        """Report the path if another has the value; `spelling` is what the message shows of it."""
        first = self.claimants.setdefault(value, claimant)
        if first is not claimant and first != claimant:
            self.report.add(path, f"{spelling} {self.taken} {first}".lstrip())


def named(report: Report, path: str, entries: Any, parse_name: Parse[str]) -> list[tuple[str, str, Any]]:
    """Return (path, name, value) of a mapping's entries, after their names have been checked."""
    names = Claims(report, "differs only in upper and lower case from")
    found = []
    for key, value in as_mapping(report, path, entries).items():
        entry_path = key_path(path, key)
        parsed = parse_value(report, entry_path, key, parse_name)
        if parsed is not None:
            names.claim(entry_path, parsed.lower(), entry_path, f'"{parsed}"')
        if value is not BROKEN:
            found.append((entry_path, parsed or "", value))
    return found


def declared(entries: Any) -> Optional[frozenset[str]]:
    """Return the names in a list of mappings or in a mapping; None if it is neither."""
    if entries is None:
        return frozenset()
    if isinstance(entries, list):  # of upstreams or groups
        entries = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    elif not isinstance(entries, dict):
        return None
    return frozenset(name for name in entries if isinstance(name, str))
