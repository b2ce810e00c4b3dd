# SPDX-License-Identifier: GPL-3.0-or-later
"""What one run has read: Ansible runs each task of each host in a process of its own, and all want the same lists.

A folder that lives as long as the run holds a file for each source. Whoever comes first reads the source, the others
wait for it. What went wrong is remembered, too: a server that does not answer is waited for once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import asdict
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Callable, Optional, Union

from .entries import Entries, Skipped
from .loading import Loaded


class Memo:
    """Outcomes of one run, in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.started = _started(folder / "started")  # seconds since the epoch

    def once(self, key: object, read: Callable[[], Union[Loaded, str]]) -> tuple[Union[Loaded, str], bool]:
        """Return what `read` returns, or returned in this run for the same key; and whether it was called now.

        Keys are made of dataclasses, texts and paths.
        """
        path = self.folder / hashlib.sha256(repr(key).encode()).hexdigest()[:32]
        found = _read(path)
        if found is not None:
            return found, False
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = _read(path)
            if found is not None:
                return found, False
            found = read()
            _write(path, found)
        return found, True


def _started(marker: Path) -> float:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        pass
    return marker.stat().st_mtime


def _read(path: Path) -> Optional[Union[Loaded, str]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return data if isinstance(data, str) else _loaded(data)


def _loaded(data: dict[str, Any]) -> Loaded:
    entries = data["entries"]
    return Loaded(
        Entries(
            domains=tuple(entries["domains"]),
            networks=tuple(IPv6Network(text) if ":" in text else IPv4Network(text) for text in entries["networks"]),
            widened=entries["widened"],
            skipped=tuple(Skipped(**skipped) for skipped in entries["skipped"]),
        ),
        formats=tuple(data["formats"]),
        warnings=tuple(data["warnings"]),
    )


def _write(path: Path, outcome: Union[Loaded, str]) -> None:
    data: Any = outcome
    if isinstance(outcome, Loaded):
        entries = outcome.entries
        data = {
            "entries": {
                "domains": entries.domains,
                "networks": [str(network) for network in entries.networks],
                "widened": entries.widened,
                "skipped": [asdict(skipped) for skipped in entries.skipped],
            },
            "formats": outcome.formats,
            "warnings": outcome.warnings,
        }
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(data), encoding="utf-8")
    temporary.rename(path)
