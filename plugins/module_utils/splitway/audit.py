# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit: one JSON line for each change of a gateway, to ``audit.jsonl`` in the log folder and to the journal.

A record says who changed what, why, which clients, upstreams and lists that concerned, and what was there
before and after. It never holds a secret, since a Change does not. A gateway that cannot write its audit works on.
"""

from __future__ import annotations

import collections
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

from .reconcile.base import ADD, CHANGE, REMOVE, Change
from .state import State
from .system import System, SystemFailure

IDENTIFIER = "splitway-audit"  # in the journal: journalctl -t splitway-audit

LONGEST = 16384  # bytes of a record, as JSON
_ROOM = 12288  # bytes of it for its changes
_TEXT = 1500  # characters of one change's `before` or `after`
_WHAT = 300  # characters of one change's `what`, or of a reason
_NAMES = 40  # names of one kind of object


@dataclass(frozen=True)
class Reason:
    """Who makes a change, and why."""

    who: str  # "ansible", "ansible as alice", "agent", "cli"
    why: str  # e.g. "run 4f0c1c2e9d0b4b6c", "healed: nft flush ruleset", "failover: us is down"


@dataclass(frozen=True)
class Entry:
    """What one record tells: the changes of one section."""

    reason: Reason
    section: str
    changes: tuple[Change, ...]
    failure: str = ""  # why it was not carried out, or not wholly
    states: tuple[State, ...] = ()  # where the objects' names are looked up; parts of a state will do


def path(system: System) -> Path:
    """Return where the audit is."""
    return system.log / "audit.jsonl"


def record(system: System, entry: Entry, now: float) -> str:
    """Write one record; `now` in seconds since the epoch. Return why it could not be written, "" when it was."""
    line = json.dumps(described(entry, now), separators=(",", ":"))
    system.journal(IDENTIFIER, line)
    try:
        system.append_line(path(system), line)
    except (SystemFailure, OSError) as error:
        failure = f"the audit could not be written: {error}"
        system.journal(IDENTIFIER, failure)
        return failure
    return ""


def described(entry: Entry, now: float) -> dict[str, Any]:
    """Return the record of an entry as plain data, of at most LONGEST bytes as JSON."""
    counts = collections.Counter(change.action for change in entry.changes)
    shown = tuple(_shown(entry.changes))
    found: dict[str, Any] = {
        "time": datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="milliseconds"),
        "who": _cut(entry.reason.who, _WHAT),
        "why": _cut(entry.reason.why, _WHAT),
        "section": entry.section,
        "counts": {action: counts[action] for action in (ADD, CHANGE, REMOVE) if counts[action]},
        "objects": {
            kind: [*names[:_NAMES], *([f"and {len(names) - _NAMES} more"] if names[_NAMES:] else [])]
            for kind, names in objects(entry).items()
        },
        "changes": shown,
    }
    if len(shown) < len(entry.changes):
        found["left_out"] = len(entry.changes) - len(shown)
    if entry.failure:
        found["failure"] = _cut(entry.failure, _WHAT)
    return found


def _shown(changes: Iterable[Change]) -> Iterator[dict[str, str]]:
    room = _ROOM
    for change in changes:
        item = {"action": change.action, "what": _cut(change.what, _WHAT)}
        item.update({"before": _lines(change.before)} if change.before else {})
        item.update({"after": _lines(change.after)} if change.after else {})
        room -= len(json.dumps(item))
        if room < 0:
            return
        yield item


def _cut(text: str, length: int) -> str:
    # Escaped as JSON, a character may take six bytes: names of another script are as long as they look.
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _lines(text: str) -> str:
    """Return the first lines of a text, and how many more there are."""
    if len(text) <= _TEXT:
        return text
    kept, _, _ = text[:_TEXT].rpartition("\n")
    more = text.count("\n") - kept.count("\n")
    return f"{kept}\n… {more} more lines" if kept else _cut(text, _TEXT)


NAMED_IN: Mapping[str, tuple[str, ...]] = {
    "upstreams": ("upstreams", "routes"),
    "routes": ("upstreams", "routes"),
    "sets": ("sets",),
    "dns": (),
    "marks": ("server",),
    "server": ("server",),
    "qos": (),
    "transports": (),
    "proxies": (),
    "web": (),
    "agent": (),
}
"""Section → the sections of a state that say how its objects are called in the topology."""

# Section → kind of object, and where its name is in what a Change says.
_MENTIONS = {
    "server": ("clients", re.compile(r"\bpeer (\S+)")),
    "qos": ("clients", re.compile(r"\bof client (\S+)")),
    "marks": ("clients", re.compile(r"^clients (.+)")),
    "upstreams": ("upstreams", re.compile(r"^(?:interface )?([^\s:]+)")),
    "routes": ("upstreams", re.compile(r"\b(?:dev|oif|lookup|table) (\S+)")),
    "sets": ("lists", re.compile(r"\bset (\S+)")),
}


def objects(entry: Entry) -> dict[str, list[str]]:
    """Return the names of the clients, upstreams and lists that the changes are about, as far as they can be told.

    A client whose name the states do not say is named by its address, a removed peer by its public key.
    """
    if entry.section not in _MENTIONS:
        return {}
    kind, pattern = _MENTIONS[entry.section]
    words = {word for change in entry.changes for word in _words(entry.section, pattern, change)}
    known = _known(entry, words) if words else {}
    found = {known.get(word, word if kind == "clients" else "") for word in words} - {""}
    return {kind: sorted(found)} if found else {}


def _words(section: str, pattern: re.Pattern[str], change: Change) -> Iterator[str]:
    matches = pattern.findall(change.what)
    if section == "marks":  # "clients A, B, C and 40 more": all of them are in the lines
        if matches:
            yield from (line.split()[0] for line in f"{change.before}\n{change.after}".splitlines() if line.strip())
    else:
        yield from matches


def _known(entry: Entry, words: Collection[str]) -> Mapping[str, str]:
    """Return the topology's names of these words, by which the kernel calls the objects of this section."""
    found: dict[str, str] = {}
    for state in entry.states:
        if entry.section in ("server", "marks") and state.server is not None:
            for peer in state.server.peers:  # thousands: only those that are asked for are kept
                before = peer.previous.public_key if peer.previous else None
                called = (peer.name, peer.public_key, before, *(address.split("/")[0] for address in peer.allowed_ips))
                found.update((word, peer.name) for word in called if word and word in words)
        elif entry.section == "sets":
            found.update((item.name, item.comment or item.name) for item in state.sets if item.name in words)
        else:
            found.update((device.interface, device.name) for device in state.upstreams)
            found.update((str(table.number), table.egress) for table in state.routes.tables)
            found.update((table.interface, table.egress) for table in state.routes.tables if table.interface)
    return found


def last(system: System, count: int) -> tuple[list[dict[str, Any]], int]:
    """Return the last records, the oldest first: of the audit, and of what was rotated away last. Raises OSError.

    And how many damaged lines were met on the way.
    """
    found: list[dict[str, Any]] = []
    damaged = 0
    for file in (path(system), path(system).with_suffix(".jsonl.1")):
        wanted = count - len(found)
        if wanted > 0:
            read = list(read_lines(_end(file, wanted)))
            found = [record for record in read if record is not None][-wanted:] + found
            damaged += read.count(None)
    return found, damaged


def _end(file: Path, count: int) -> list[str]:
    """Return whole lines at the end of a file, `count` of them at least; none when there is no file."""
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            begin = stream.seek(max(0, size - (count + 1) * LONGEST))
            lines = stream.read().decode("utf-8", "replace").splitlines()
            return lines[1:] if begin else lines
    except FileNotFoundError:
        return []


def read_lines(lines: Iterable[str]) -> Iterator[Optional[dict[str, Any]]]:
    """Yield the records of an audit's lines, None for one that is damaged or none of ours."""
    for line in lines:
        try:
            found = json.loads(line)
            if "\\ud" in line:  # halves of letters, which no file or terminal can have, or whole ones in two halves
                json.dumps(found, ensure_ascii=False).encode()
            yield found if _is_record(found) else None
        except (ValueError, RecursionError):
            yield None


def _is_record(found: Any) -> bool:
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("time", "section")):
        return False
    counts, names, changes = found.get("counts", {}), found.get("objects", {}), found.get("changes", [])
    return (
        _is_time(datetime.fromisoformat(found["time"]))
        and all(isinstance(found.get(key, ""), str) for key in ("who", "why", "failure"))
        and isinstance(counts, dict)
        and all(type(count) is int and count.bit_length() < 64 for count in counts.values())
        and isinstance(names, dict)
        and all(_are_texts(some) for some in names.values())
        and isinstance(changes, list)
        and all(map(_is_change, changes))
    )


def _is_time(found: datetime) -> bool:
    return found.tzinfo is not None and 1970 <= found.year < 9999  # years that each zone has


def _are_texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(item, str) for item in found)


def _is_change(found: Any) -> bool:
    if not isinstance(found, dict) or not {"action", "what"} <= found.keys():
        return False
    return all(isinstance(found.get(key, ""), str) for key in ("action", "what", "before", "after"))
