# SPDX-License-Identifier: GPL-3.0-or-later
"""Files → what a file of variables is to say, with what is refused and why.

A kind that has a file is replaced as a whole. Everything is checked by the topology's own parsers, in the place that
it will have: among the inventory's other variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Optional

from ..topology.errors import Report
from ..topology.plain import plain
from .brought import Brought, added
from .changes import Change, differences, lost_keys
from .client_rules import NAME as RULES
from .client_rules import read_rules, with_rules
from .documents import read_entries
from .entries import Entry, ExchangeError, Refusal, Refused
from .keeping import There, from_there, there
from .kinds import CLIENTS, FORMATS, KINDS, SECRETS, SERVER, Kind
from .rows import from_rows
from .tables import read_table
from .taking import right_ones, taken_in_part
from .variables import VariablesFile
from .wg_easy import DATABASES, read_wg_easy
from .wg_easy import FILE as WG_EASY
from .wg_quick import FILES as WG_QUICK
from .wg_quick import is_wg_quick, read_wg_quick

OTHERS = {"wg-easy": (WG_EASY, DATABASES), "wg-quick": (WG_QUICK,)}
"""Formats of other programs → shell patterns of their files' names."""


@dataclass(frozen=True)
class Outcome:
    """What comes of an import."""

    refused: tuple[Refusal, ...]
    notes: tuple[str, ...]
    taken: dict[str, int]  # kind → entries of files that are right
    values: dict[str, Any] = field(default_factory=dict, repr=False)  # variables that get another value, as written
    changes: dict[str, Change] = field(default_factory=dict)


def file_names(form: Optional[str]) -> tuple[str, ...]:
    """Return shell patterns of the names of files that an import looks for; no form: csv and json."""
    if form in OTHERS:
        return OTHERS[form]
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
    brought = _read(files, before, refused, notes)
    entries, server = brought.entries, dict(brought.server.value)
    broken = [kind for kind, names in brought.files.items() if not refused.files.isdisjoint(names)]
    new = {SERVER: server} if server and meant.get(SERVER) is None and SERVER not in destination.values else {}
    if server and not new:
        notes.append(f"{SERVER} stays as it is: clients' files are right only if it has {brought.server.file}'s key")
    if partial:
        entries = {kind: read for kind, read in entries.items() if kind not in broken}
        taken = taken_in_part({**meant, **new}, entries, before, refused)
    else:
        # What names the entries of a broken file is judged by those that are there.
        entries = {kind: read for kind, read in entries.items() if read or kind not in broken}
        taken = right_ones({**meant, **new}, entries, before, refused)
    counts = {kind.name: sum(each.entry.line > 0 for each in settled) for kind, settled in taken.items()}
    placed = map(brought.server.placed, refused.lines) if new else refused.lines
    lines = tuple(sorted(dict.fromkeys(placed), key=lambda refusal: (refusal.file, refusal.line)))
    if lines and not partial:
        return Outcome(lines, tuple(notes), counts)
    values, changes = differences(taken, before, destination.values)
    return Outcome(lines, (*notes, *lost_keys(taken, before)), counts, {**new, **values}, changes)


def _read(files: Mapping[str, bytes], before: Mapping[Kind, There], refused: Refused, notes: list[str]) -> Brought:
    """Return what the files bring."""
    if not files:
        raise ExchangeError("there is no file to import")
    brought = _from_others(files, before, refused, notes)
    entries, sources = brought.entries, brought.files
    for kind in KINDS:
        for name in _given(kind.name, files):
            sources[kind] = {name}
            entries[kind] = _read_kind(kind, name, files[name], refused)
    for name in _given(RULES, files):
        sources.setdefault(CLIENTS, set()).add(name)
        clients = entries.get(CLIENTS) or _clients_there(name, before[CLIENTS])
        entries[CLIENTS] = with_rules(clients, read_rules(name, files[name], refused), refused)
    return brought


def _from_others(
    files: Mapping[str, bytes], before: Mapping[Kind, There], refused: Refused, notes: list[str]
) -> Brought:
    """Return what files of other programs bring. Raises ExchangeError for two of wg-easy's."""
    quick = {name: content for name, content in files.items() if is_wg_quick(name)}
    if quick:
        brought = read_wg_quick(quick, refused, notes)
        kept = {kind: added(entries, before[kind]) for kind, entries in brought.entries.items()}
        # One that is broken adds nothing, and takes nothing away: what the others say is whole without it.
        whole = {kind: names - refused.files for kind, names in brought.files.items()}
        return replace(brought, entries=kept, files=whole)
    easy = [name for name in files if name == WG_EASY or fnmatchcase(name, DATABASES)]
    if len(easy) > 1:
        raise ExchangeError(f"there are {' and '.join(easy)}: name the one that is meant in place of its folder")
    return read_wg_easy(easy[0], files[easy[0]], refused, notes) if easy else Brought()


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
