# SPDX-License-Identifier: GPL-3.0-or-later
"""Files → what a file of variables is to say, with what is refused and why.

A kind that has a file is replaced as a whole. Everything is checked by the topology's own parsers, in the place that
it will have: among the inventory's other variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..topology.errors import Report
from ..topology.plain import plain
from .changes import Change, differences, lost_keys
from .client_rules import NAME as RULES
from .client_rules import read_rules, with_rules
from .documents import read_entries
from .entries import Entry, ExchangeError, Refusal, Refused
from .keeping import There, from_there, there
from .kinds import CLIENTS, KINDS, SECRETS, SERVER, Kind
from .rows import from_rows
from .tables import read_table
from .taking import right_ones, taken_in_part
from .variables import VariablesFile
from .wg_easy import FILE as WG_EASY
from .wg_easy import read_wg_easy

FORMATS = ("csv", "json")
WG_EASY_FORMAT = "wg-easy"


@dataclass(frozen=True)
class Outcome:
    """What comes of an import."""

    refused: tuple[Refusal, ...]
    notes: tuple[str, ...]
    taken: dict[str, int]  # kind → entries of files that are right
    values: dict[str, Any] = field(default_factory=dict, repr=False)  # variables that get another value, as written
    changes: dict[str, Change] = field(default_factory=dict)


def file_names(form: Optional[str]) -> tuple[str, ...]:
    """Return the names of files that an import looks for; no form: csv and json."""
    if form == WG_EASY_FORMAT:
        return (WG_EASY,)
    kinds = (*(kind.name for kind in KINDS), RULES)
    return tuple(f"{name}.{ending}" for name in kinds for ending in ((form,) if form else FORMATS))


def import_files(
    files: Mapping[str, bytes], variables: Mapping[str, Any], destination: VariablesFile, *, partial: bool
) -> Outcome:
    """Return what comes of importing files, by their names, into a file of an inventory with these variables.

    partial: whether what is right is taken beside what is refused. Raises ExchangeError, and TopologyError for
    variables that are no data.
    """
    report = Report()
    meant = {name: plain(value, name, report) for name, value in variables.items()}
    report.finish()
    before = {kind: there(kind, destination.values.get(kind.variable), meant.get(kind.variable)) for kind in KINDS}
    refused, notes = Refused(), list[str]()
    entries, server, sources = _read(files, before, refused, notes)
    broken = [kind for kind, names in sources.items() if not refused.files.isdisjoint(names)]
    new = {SERVER: server} if server and meant.get(SERVER) is None and SERVER not in destination.values else {}
    if server and not new:
        notes.append(f"{SERVER} stays as it is: clients reach it with their files only if it has wg-easy's key")
    if partial:
        entries = {kind: read for kind, read in entries.items() if kind not in broken}
        taken = taken_in_part({**meant, **new}, entries, before, refused)
    else:
        # What names the entries of a broken file is judged by those that are there.
        entries = {kind: read for kind, read in entries.items() if read or kind not in broken}
        taken = right_ones({**meant, **new}, entries, before, refused)
    counts = {kind.name: sum(each.entry.line > 0 for each in settled) for kind, settled in taken.items()}
    lines = tuple(sorted(dict.fromkeys(refused.lines), key=lambda refusal: (refusal.file, refusal.line)))
    if lines and not partial:
        return Outcome(lines, tuple(notes), counts)
    values, changes = differences(taken, before, destination.values)
    return Outcome(lines, (*notes, *lost_keys(taken, before)), counts, {**new, **values}, changes)


def _read(
    files: Mapping[str, bytes], before: Mapping[Kind, There], refused: Refused, notes: list[str]
) -> tuple[dict[Kind, list[Entry]], dict[str, Any], dict[Kind, set[str]]]:
    """Return the entries of each kind that has a file, the server that one brings, and the names of the files."""
    if not files:
        raise ExchangeError("there is no file to import")
    entries: dict[Kind, list[Entry]] = {}
    server: dict[str, Any] = {}
    sources: dict[Kind, set[str]] = {}
    for kind in KINDS:
        for name in _given(kind.name, files):
            sources[kind] = {name}
            entries[kind] = _read_kind(kind, name, files[name], refused)
    if WG_EASY in files:
        sources.setdefault(CLIENTS, set()).add(WG_EASY)
        entries[CLIENTS], server = read_wg_easy(files[WG_EASY], refused, notes)
    for name in _given(RULES, files):
        sources.setdefault(CLIENTS, set()).add(name)
        clients = entries.get(CLIENTS) or _clients_there(name, before[CLIENTS])
        entries[CLIENTS] = with_rules(clients, read_rules(name, files[name], refused), refused)
    return entries, server, sources


def _given(kind: str, files: Mapping[str, bytes]) -> list[str]:
    """Return the name of the file of a kind, if there is one. Raises ExchangeError for two."""
    given = [f"{kind}.{ending}" for ending in FORMATS if f"{kind}.{ending}" in files]
    if len(given) > 1:
        raise ExchangeError(f"there are {' and '.join(given)}: say which format is meant")
    return given


def _read_kind(kind: Kind, name: str, content: bytes, refused: Refused) -> list[Entry]:
    if name.endswith(".json"):
        return read_entries(kind, name, content, refused)
    columns = (*kind.columns, *kind.items)  # a list's domains may stand in one cell, too
    return from_rows(kind, name, read_table(name, content, columns, kind.what, refused), refused)


def _clients_there(file: str, before: There) -> list[Entry]:
    """Return the clients that are there, without their keys: those stay where they are."""
    if not before.written:
        raise ExchangeError(f"{file}: there are no {CLIENTS.variable} in the destination that could have these rules")
    return [from_there(name, before, without=SECRETS) for name in before.written]
