# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway audit`: who changed this gateway, when and why, from the audit's file and what was rotated away."""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Optional

from ... import audit
from ...system import System
from ..errors import AgentError

HELP = "who changed this gateway, when and why"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIGNS = {"add": "+", "change": "~", "remove": "-"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--since", metavar="TIME", help="30m, 2h, 7d, today, yesterday, 2026-11-22, 2026-11-22T10:00; else all there is"
    )
    parser.add_argument("--what", metavar="WORD", help="a section (sets, routes, …), or a word of what was changed")
    parser.add_argument("--json", action="store_true", help="the records as they are, one a line")


def run(options: argparse.Namespace, system: System) -> int:
    """Print the records, the oldest first. Raises AgentError for a malformed time, or when there is no audit."""
    since = None if options.since is None else since_of(options.since, system.now())
    files = _files(audit.path(system))
    if not files:
        raise AgentError(f"nothing has been recorded on this host: {audit.path(system)} is not there")
    damaged = 0
    for found in audit.read_lines(_lines(files, since)):
        if found is None:
            damaged += 1
        elif _wanted(found, since, options.what):
            text = json.dumps(found, ensure_ascii=False) if options.json else "\n".join(_for_people(found))
            sys.stdout.write(f"{text}\n")
    if damaged:
        sys.stderr.write(f"splitway: {damaged} lines of the audit are damaged and left out\n")
    return 0


def since_of(text: str, now: float) -> float:
    """Return the time that a text means, in seconds since the epoch; local where it has no zone. Raises AgentError."""
    relative = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if relative:
        return now - int(relative[1]) * _UNITS[relative[2]]
    midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday"):
        return (midnight - timedelta(days=int(text == "yesterday"))).timestamp()
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise AgentError(f"--since {text}: write 30m, 2h, 7d, today, 2026-11-22 or 2026-11-22T10:00") from error


def _files(path: Path) -> list[Path]:
    """Return the audit and what was rotated away of it, the oldest first."""
    pattern = re.compile(rf"{re.escape(path.name)}(?:\.(\d+)(?:\.gz)?)?")
    try:
        found = {entry: pattern.fullmatch(entry.name) for entry in path.parent.iterdir()}
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise AgentError("only root and the group adm may read the audit: run this with sudo") from error
    ages = {entry: int(match[1] or 0) for entry, match in found.items() if match}
    return sorted(ages, key=lambda entry: -ages[entry])


def _lines(files: Iterable[Path], since: Optional[float]) -> Iterator[str]:
    for path in files:
        try:
            if since is not None and path.stat().st_mtime < since:
                continue
            if path.suffix == ".gz":
                with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
                    yield from stream
            else:
                with path.open(encoding="utf-8", errors="replace") as stream:
                    yield from stream
        except PermissionError as error:
            raise AgentError("only root and the group adm may read the audit: run this with sudo") from error
        except FileNotFoundError:
            continue  # rotated away just now
        except (OSError, EOFError, zlib.error) as error:
            raise AgentError(f"{path} cannot be read: {error}") from error


def _wanted(found: Mapping[str, Any], since: Optional[float], what: Optional[str]) -> bool:
    if since is not None and _time(found["time"]) < since:
        return False
    if what is None or what == found["section"]:
        return True
    objects = (name for names in found.get("objects", {}).values() for name in names)
    changes = (change.get("what", "") for change in found.get("changes", ()))
    return any(what in text for text in (*objects, *changes, str(found.get("why", ""))))


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _for_people(found: Mapping[str, Any]) -> Iterator[str]:
    when = datetime.fromtimestamp(_time(found["time"])).isoformat(sep=" ", timespec="seconds")
    counts = " ".join(f"{_SIGNS.get(action, action)}{count}" for action, count in found.get("counts", {}).items())
    objects = "; ".join(f"{kind} {', '.join(names)}" for kind, names in found.get("objects", {}).items())
    parts = (when, found.get("who"), found["section"], counts, objects, found.get("why"))
    yield "  ".join(str(part) for part in parts if part)
    for change in found.get("changes", ()):
        yield f"    {_SIGNS.get(change['action'], '?')} {change['what']}{_difference(change)}"
    if "left_out" in found:
        yield f"    … {found['left_out']} more"
    if "failure" in found:
        yield f"    FAILED: {found['failure']}"


def _difference(change: Mapping[str, str]) -> str:
    """Return before and after where they are one short line each."""
    before, after = change.get("before", ""), change.get("after", "")
    if "\n" in before + after or len(before) + len(after) > 200 or change["action"] != "change":
        return ""
    return f": {before or '(nothing)'} → {after or '(nothing)'}"
