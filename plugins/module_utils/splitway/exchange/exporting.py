# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway's variables → files, one a kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..topology import parse
from ..topology.errors import Report
from ..topology.plain import plain
from .documents import write_document
from .kinds import KINDS, SECRETS, Kind
from .rows import to_rows
from .tables import write_table
from .unread import UnreadLists


def exported(variables: Mapping[str, Any], form: str, *, secrets: bool) -> dict[str, str]:
    """Return the content of each file by its name. `form`: csv or json.

    With secrets each entry says whether it has a private and a preshared key; without, no entry says anything of
    them. Raises TopologyError: what is wrong could not come in again.
    """
    parse(variables, UnreadLists())
    return {f"{kind.name}.{form}": _file(kind, variables.get(kind.variable), form, secrets=secrets) for kind in KINDS}


def counted(variables: Mapping[str, Any]) -> dict[str, int]:
    """Return how many entries of each kind there are."""
    return {kind.name: len(variables.get(kind.variable) or ()) for kind in KINDS}


def _file(kind: Kind, value: Any, form: str, *, secrets: bool) -> str:
    entries = [(name, _said(kind, entry, secrets=secrets)) for name, entry in _entries(kind, value)]
    if form == "json":
        return write_document(dict(entries) if kind.by_name else [entry for _, entry in entries])
    columns = tuple(column for column in kind.columns if secrets or column not in SECRETS)
    return write_table(columns, (row for name, entry in entries for row in to_rows(kind, name, entry)))


def _entries(kind: Kind, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, entry), plain; the topology has been checked."""
    report = Report()
    found = plain(value, kind.variable, report)
    report.finish()
    for entry in found or ():
        yield (entry, found[entry] or {}) if kind.by_name else (entry["name"], entry)


def _said(kind: Kind, entry: dict[str, Any], *, secrets: bool) -> dict[str, Any]:
    """Return what is said of an entry: keys without a value are left out, but for secrets when they are asked for."""
    if secrets:
        entry = {**dict.fromkeys(key for key in SECRETS if key in kind.keys), **entry}
    wanted = [key for key in kind.keys if key in entry and (secrets or key not in SECRETS)]
    return {key: entry[key] for key in wanted if entry[key] is not None or key in SECRETS}
